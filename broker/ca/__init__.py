"""The SSH certificate authority: profile → template → lint → sign. Pure: times and nonces are arguments."""

from broker.ca.lint import CheckedTemplate, lint, problems_in
from broker.ca.profile import ACCESS, HOST, IDENTITY, CertificateKind, Profile, principal_of
from broker.ca.public_key import PublicKey
from broker.ca.public_key import parse as parse_public_key
from broker.ca.revocation import Revoked, krl
from broker.ca.sign import sign
from broker.ca.signer import Signer, signer_from
from broker.ca.template import CertificateTemplate, access_template, host_template, identity_template

__all__ = [
    "ACCESS",
    "HOST",
    "IDENTITY",
    "CertificateKind",
    "CertificateTemplate",
    "CheckedTemplate",
    "Profile",
    "PublicKey",
    "Revoked",
    "Signer",
    "access_template",
    "host_template",
    "identity_template",
    "krl",
    "lint",
    "parse_public_key",
    "principal_of",
    "problems_in",
    "sign",
    "signer_from",
]
