"""SCIM 2.0 (RFC 7643, RFC 7644): the door for provisioning clients."""
