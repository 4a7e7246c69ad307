"""What is stored about policy, resources, sessions, certificates and history."""

from broker.models.audit import AuditEvent
from broker.models.certificate import Certificate, CertificateAuthority
from broker.models.policy import Binding, Lock, Role
from broker.models.resource import App, Enrolment, Server
from broker.models.session import AccessSession, Launch
from broker.models.signing import SigningKey

__all__ = [
    "AccessSession",
    "App",
    "AuditEvent",
    "Binding",
    "Certificate",
    "CertificateAuthority",
    "Enrolment",
    "Launch",
    "Lock",
    "Role",
    "Server",
    "SigningKey",
]
