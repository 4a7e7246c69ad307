"""Issuing certificates: decided, numbered, written down, committed, and only then signed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import LoginSession, User
from broker import live as live_state
from broker.audit.origin import Origin
from broker.ca.profile import CertificateKind
from broker.errors import Denied, Invalid, NotFound, Unavailable
from broker.models import AccessSession, AuditEvent, Binding, Certificate, CertificateAuthority, Role, Server
from broker.policy import Reason, Subject
from broker.services import authorities, certificates, enrolment
from broker.services.decisions import subject_now
from broker.services.presets import ensure_builtin_roles

pytestmark = pytest.mark.django_db

DEV = {
    "kind": "role",
    "metadata": {"name": "dev"},
    "spec": {"allow": {"server_labels": {"env": ["dev"]}, "logins": ["root"]}},
}
ALICE_FROM = Origin("person", "a1", "alice", "192.0.2.7", "req-1")


def key_pair(directory: Path, kind: str = "ed25519") -> str:
    path = directory / f"id_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


def signed_in(user: User) -> Subject:
    now = timezone.now()
    session = LoginSession.objects.create(
        user=user,
        token_hash=user.username,
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(hours=8),
        mfa_at=now,
        amr=["pwd", "otp"],
    )
    subject = subject_now(str(session.pk))
    assert subject
    return subject


@pytest.fixture
def alice() -> Subject:
    """alice holds dev, which opens servers with env: dev as root; db-1 is one, vault is none."""
    live_state.forget()
    authorities.ensure_authorities()
    user = User.objects.create(username="alice")
    Binding.objects.create(role=Role.objects.create(name="dev", document=DEV), user=user)
    for name, env in (("db-1", "dev"), ("vault", "prod")):
        document = {"kind": "server", "metadata": {"name": name, "labels": {"env": env}}, "spec": {"addr": "db:22"}}
        Server.objects.create(name=name, document=document)
    return signed_in(user)


def shown(certificate: str) -> str:
    done = subprocess.run(
        ["ssh-keygen", "-L", "-f", "-"], input=certificate, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize(
    ("server", "login", "reason"),
    [
        ("vault", "root", Reason.LABELS_DO_NOT_MATCH),
        ("db-1", "postgres", Reason.LOGIN_NOT_ALLOWED),
        ("db-1", "*", Reason.LOGIN_NOT_ALLOWED),
        ("db-1", "", Reason.LOGIN_NOT_ALLOWED),
        ("db-1", "root,postgres", Reason.LOGIN_NOT_ALLOWED),
    ],
)
def test_what_no_role_allows_is_refused_and_recorded(
    alice: Subject, tmp_path: Path, server: str, login: str, reason: Reason
) -> None:
    """C02, C04: nothing is issued, and the log says why."""
    with pytest.raises(Denied) as refused:
        certificates.issue_access(ALICE_FROM, alice, server, login, key_pair(tmp_path))
    assert reason in refused.value.denial.reasons
    assert not Certificate.objects.exists()
    event = AuditEvent.objects.get(name="access.denied")
    assert (event.resource_name, event.data["login"], event.decision) == (server, login, "denial")
    assert str(reason) in event.reasons


def test_an_unknown_server_sounds_like_a_denial(alice: Subject, tmp_path: Path) -> None:
    with pytest.raises((Denied, NotFound)):
        certificates.issue_access(ALICE_FROM, alice, "nowhere", "root", key_pair(tmp_path))
    assert not Certificate.objects.exists()


def test_a_login_session_without_second_factor_gets_nothing(alice: Subject, tmp_path: Path) -> None:
    """M01, M22."""
    LoginSession.objects.update(mfa_at=None)
    live_state.forget()
    weak = subject_now(alice.login.id if alice.login else "")
    paths: tuple[Callable[[], object], ...] = (
        lambda: certificates.issue_access(ALICE_FROM, weak, "db-1", "root", key_pair(tmp_path)),
        lambda: certificates.issue_identity(ALICE_FROM, weak, key_pair(tmp_path, "ecdsa")),
    )
    for issue in paths:
        with pytest.raises(Denied) as refused:
            issue()
        assert refused.value.denial.reasons == (Reason.MFA_REQUIRED,)


def test_an_access_certificate_is_for_one_login_on_one_server_and_short(alice: Subject, tmp_path: Path) -> None:
    """C05: what ssh-keygen reads is what was written down."""
    issued = certificates.issue_access(ALICE_FROM, alice, "db-1", "root", key_pair(tmp_path))
    text = shown(issued.certificate)
    row = Certificate.objects.get()
    assert f"Serial: {row.serial}" in text
    assert f'Key ID: "postern:access:alice:root@db-1:{row.serial}"' in text
    assert row.principals == ["root@db-1"]
    assert "source-address 192.0.2.7" in text
    assert row.valid_before.timestamp() - time.time() <= 300
    session = AccessSession.objects.get()
    assert (session.protocol, session.login, session.certificate_serial) == ("ssh", "root", row.serial)
    names = list(AuditEvent.objects.order_by("seq").values_list("name", flat=True))
    assert names[-2:] == ["certificate.issued", "ssh.session.started"]


def test_no_certificate_outlives_the_login_session(alice: Subject, tmp_path: Path) -> None:
    """C06."""
    end = timezone.now() + timedelta(seconds=60)
    LoginSession.objects.update(expires_at=end)
    live_state.forget()
    subject = subject_now(alice.login.id if alice.login else "")
    issued = certificates.issue_access(ALICE_FROM, subject, "db-1", "root", key_pair(tmp_path))
    assert issued.template.valid_before <= end.timestamp()


def test_the_record_is_there_before_the_signature(alice: Subject, tmp_path: Path, monkeypatch: Any) -> None:
    """C11, C16: every issuing path goes through one sign(), and a crash in it loses no record."""

    def crash(*_: Any) -> str:
        raise RuntimeError("power cut")

    monkeypatch.setattr(certificates, "sign", crash)
    server = Server.objects.get(name="db-1")
    paths: tuple[Callable[[], object], ...] = (
        lambda: certificates.issue_access(ALICE_FROM, alice, "db-1", "root", key_pair(tmp_path)),
        lambda: certificates.issue_identity(ALICE_FROM, alice, key_pair(tmp_path, "ecdsa")),
        lambda: certificates.issue_host(ALICE_FROM, server, key_pair(tmp_path, "rsa")),
    )
    for number, issue in enumerate(paths, start=1):
        with pytest.raises(RuntimeError, match="power cut"):
            issue()
        assert Certificate.objects.count() == number
        assert AuditEvent.objects.filter(name="certificate.issued").count() == number


def test_our_own_authority_may_not_be_anybodys_key(alice: Subject) -> None:
    """C14."""
    for kind in CertificateKind:
        with pytest.raises(Invalid):
            certificates.issue_access(ALICE_FROM, alice, "db-1", "root", authorities.trusted_lines(kind)[0])


def test_the_two_authorities_differ_and_are_made_once(alice: Subject) -> None:
    """C13, O15."""
    user, host = (authorities.active(kind).public_key for kind in CertificateKind)
    assert user != host
    assert authorities.ensure_authorities() == []
    CertificateAuthority.objects.filter(kind="host").delete()
    with pytest.raises(Unavailable):
        authorities.ensure_authorities()


def test_a_server_fetches_its_host_certificate_once(alice: Subject, tmp_path: Path) -> None:
    """The token is good for one server, one time; a bad key does not spend it; its names are ours to say (C20)."""
    ensure_builtin_roles()
    root = User.objects.create(username="root-admin")
    Binding.objects.create(role=Role.objects.get(name="administrator"), user=root)
    live_state.forget()
    admin = signed_in(root)
    with pytest.raises(Denied):
        enrolment.prepare(ALICE_FROM, alice, "db-1")
    script, _ = enrolment.prepare(ALICE_FROM, admin, "db-1")
    token = next(word.strip("'") for word in script.split() if word.strip("'").startswith("ptn_enr_"))
    key = key_pair(tmp_path)
    with pytest.raises(Invalid):
        enrolment.host_certificate(ALICE_FROM, token, "ssh-dss AAAA")
    for wrong in (token[:-1], token + "A", token.lower(), ""):
        with pytest.raises(NotFound):
            enrolment.host_certificate(ALICE_FROM, wrong, key)
    text = shown(enrolment.host_certificate(ALICE_FROM, token, key))
    assert "host certificate" in text
    assert {"db-1", "db-1.postern"} <= set(text.split())
    with pytest.raises(NotFound):
        enrolment.host_certificate(ALICE_FROM, token, key)
    assert Server.objects.get(name="db-1").enrolled_at


def test_the_enrolment_script_is_shell_and_leaves_a_config_that_sshd_takes(alice: Subject, tmp_path: Path) -> None:
    """The lines are tried on a copy of a server's directory with the real shell and the real sshd."""
    (tmp_path / "sshd_config").write_text("Port 22\n")
    key = tmp_path / "ssh_host_ed25519_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    certificate = certificates.issue_host(
        ALICE_FROM, Server.objects.get(name="db-1"), key.with_suffix(".pub").read_text()
    ).certificate
    script = enrolment.script("db-1", certificate=certificate)
    environment = {"POSTERN_SSH_DIR": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    for _ in range(2):  # running it again changes nothing
        done = subprocess.run(["sh", "-eu"], input=script, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    config = (tmp_path / "sshd_config.d" / "50-postern.conf").read_text()
    assert "AuthorizedPrincipalsCommand /bin/echo %u@db-1\n" in config
    assert (tmp_path / "sshd_config").read_text().count("Include") == 1
