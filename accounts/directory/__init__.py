"""Directories: all that knows the LDAP library. It is an extra, so nothing else imports these modules at its top."""
