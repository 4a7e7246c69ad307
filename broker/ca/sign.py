"""Sign: the one place where a certificate comes into being (OpenSSH's PROTOCOL.certkeys)."""

from __future__ import annotations

import base64

from broker.ca.lint import CheckedTemplate
from broker.ca.profile import CertificateKind
from broker.ca.signer import Signer
from broker.ca.template import CertificateTemplate, Options
from broker.ca.wire import Reader, string, uint32, uint64
from broker.errors import Invalid

NONCE_BYTES = 32
SUFFIX = "-cert-v01@openssh.com"
TYPE_NUMBER = {CertificateKind.USER: 1, CertificateKind.HOST: 2}


def sign(checked: CheckedTemplate, signer: Signer, nonce: bytes) -> str:
    """The certificate as an OpenSSH line. `nonce` is 32 random bytes; commit serial and template before."""
    if not isinstance(checked, CheckedTemplate):
        raise TypeError("sign() takes what lint() made, nothing else")
    template = checked.template
    if signer.kind is not template.kind:
        raise Invalid(f"the {signer.kind} CA does not sign {template.kind} certificates")
    if signer.public_blob == template.public_key.blob:
        raise Invalid("the public key is that of the certificate authority", "send your own key")
    if len(nonce) != NONCE_BYTES:
        raise ValueError(f"the nonce must have {NONCE_BYTES} bytes")
    algorithm = certificate_algorithm(template.public_key.algorithm)
    body = _body(template, algorithm, signer.public_blob, nonce)
    certificate = body + string(signer.sign(body))
    return f"{algorithm} {base64.b64encode(certificate).decode()} {template.key_id}"


def certificate_algorithm(key_algorithm: str) -> str:
    """The certificate type for a key type; FIDO keys keep theirs."""
    return key_algorithm.removesuffix("@openssh.com") + SUFFIX


def _body(template: CertificateTemplate, algorithm: str, authority: bytes, nonce: bytes) -> bytes:
    key = Reader(template.public_key.blob)
    key.string()  # the key's own type: the certificate's stands in its place
    return b"".join(
        (
            string(algorithm),
            string(nonce),
            key.rest(),
            uint64(template.serial),
            uint32(TYPE_NUMBER[template.kind]),
            string(template.key_id),
            string(b"".join(string(principal) for principal in template.principals)),
            uint64(template.valid_after),
            uint64(template.valid_before),
            string(_options(template.critical_options)),
            string(_options(template.extensions)),
            string(b""),
            string(authority),
        )
    )


def _options(options: Options) -> bytes:
    """Names and values; a value is a string within a string, none is an empty string."""
    return b"".join(string(name) + string(string(value) if value else b"") for name, value in options)
