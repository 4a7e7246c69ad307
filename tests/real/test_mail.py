"""Mails through a real SMTP server: encrypted and verified, or on this machine, or not at all (L31)."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import CommandError, call_command
from django.db import transaction
from pydantic import SecretStr

from accounts import mail
from accounts.mail import MailFailed, send
from accounts.models import Notice, User
from accounts.services import notice_mail, notices
from accounts.services.users import create_user
from tests.conftest import TESTS, Clock, Person
from tests.real.product import Product, free_port
from tests.real.web_person import WebPerson

pytestmark = [pytest.mark.real, pytest.mark.django_db(transaction=True)]
NAME = "mail.example.test"
PASSWORD = "correct horse"


class Authority:
    """A CA of our own, and the certificates it signs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"CA of {directory.name}")])
        self.path = directory / "ca.pem"
        self.path.write_bytes(self._sign(self.name, self.key.public_key(), [], ca=True))

    def context(self, host: str, days: int = 1) -> ssl.SSLContext:
        """A server's TLS under the name `host`, good for so many days (negative: it was)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        chain, private = self.directory / f"{host}{days}.pem", self.directory / f"{host}{days}.key"
        chain.write_bytes(self._sign(subject, key.public_key(), names, days=days))
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, private)
        return context

    def _sign(
        self, subject: x509.Name, key: Any, names: list[x509.GeneralName], days: int = 1, ca: bool = False
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class Postbox:
    """What a server took, and how; `answer` is what it says instead of taking something."""

    mails: list[Message] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)
    refuse_recipient: str = ""

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refuse_recipient:
            return self.refuse_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.mails.append(message_from_bytes(envelope.content or b""))  # type: ignore[arg-type]
        self.names.append(str(session.host_name))
        return "250 taken"

    def check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        if isinstance(data, LoginPassword):
            self.logins.append(data.password)
            return AuthResult(success=data.password == PASSWORD.encode(), handled=False)
        return AuthResult(success=False, handled=False)


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


Serve = Callable[..., int]


@pytest.fixture
def serve(postbox: Postbox) -> Iterator[Serve]:
    """Starts servers; answers the port. Each listens on loopback and is stopped after the test."""
    running: list[Controller] = []

    def start(port: int = 0, **how: Any) -> int:
        controller = Controller(postbox, hostname="127.0.0.1", port=port or free_port(), **how)
        controller.start()
        running.append(controller)
        return int(controller.port)

    yield start
    for controller in running:
        controller.stop()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """A CA that this process trusts, as an administrator would make it: by SSL_CERT_FILE."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    return made


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A name that is not this machine's, though what answers under it is: the rules of the wide world apply."""
    ask = socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        return ask("127.0.0.1" if host == NAME else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return NAME


@pytest.fixture
def use(settings: Any) -> Callable[[str], None]:
    """Sets the server."""

    def set_url(url: str) -> None:
        changed = {"smtp_url": SecretStr(url), "mail_from": "postern@example.com"}
        settings.POSTERN = settings.POSTERN.model_copy(update=changed)

    return set_url


# --- whom we hand nothing to ------------------------------------------------------------------------------------------


def test_a_certificate_nobody_vouches_for_gets_nothing(
    tmp_path_factory: pytest.TempPathFactory, serve: Serve, use: Callable[[str], None], postbox: Postbox, elsewhere: str
) -> None:
    """L31: self-signed, as far as we can tell."""
    stranger = Authority(tmp_path_factory.mktemp("stranger"))
    for scheme, how in (("smtps", "ssl_context"), ("smtp", "tls_context")):
        port = serve(**{how: stranger.context(NAME)})
        use(f"{scheme}://postern:{PASSWORD.replace(' ', '%20')}@{elsewhere}:{port}")
        with pytest.raises(MailFailed, match="certificate is not good"):
            send("alice@example.com", "hello", "text")
    assert postbox.mails == []
    assert postbox.logins == []


@pytest.mark.parametrize(("host", "days"), [("other.example.test", 1), (NAME, -1)])
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_a_certificate_for_another_host_or_one_that_ran_out_gets_nothing(
    authority: Authority,
    serve: Serve,
    use: Callable[[str], None],
    postbox: Postbox,
    elsewhere: str,
    host: str,
    days: int,
    scheme: str,
) -> None:
    """L31."""
    port = serve(**{"ssl_context" if scheme == "smtps" else "tls_context": authority.context(host, days)})
    use(f"{scheme}://{elsewhere}:{port}")
    with pytest.raises(MailFailed, match="certificate is not good"):
        send("alice@example.com", "hello", "text")
    assert postbox.mails == []


def test_a_server_from_whose_greeting_starttls_was_stripped_gets_nothing(
    serve: Serve, use: Callable[[str], None], postbox: Postbox, elsewhere: str
) -> None:
    """L31: no password and no mail goes over a line that somebody in between made plain."""
    port = serve(authenticator=postbox.check, auth_required=False, auth_require_tls=False)
    use(f"smtp://postern:correct%20horse@{elsewhere}:{port}")
    with pytest.raises(MailFailed, match="offers no encryption"):
        send("alice@example.com", "hello", "text")
    assert (postbox.mails, postbox.logins) == ([], [])


def test_a_wrong_password_is_said_without_saying_it(
    authority: Authority, serve: Serve, use: Callable[[str], None], postbox: Postbox, elsewhere: str
) -> None:
    port = serve(tls_context=authority.context(NAME), authenticator=postbox.check, auth_required=True)
    use(f"smtp://postern:wrong-and-secret@{elsewhere}:{port}")
    with pytest.raises(MailFailed, match="refuses our name or password") as caught:
        send("alice@example.com", "hello", "text")
    assert "wrong-and-secret" not in f"{caught.value} {caught.value.hint}"


# --- what arrives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_a_mail_arrives_over_tls_with_name_and_password(
    authority: Authority, serve: Serve, use: Callable[[str], None], postbox: Postbox, elsewhere: str, scheme: str
) -> None:
    how = {"ssl_context" if scheme == "smtps" else "tls_context": authority.context(NAME)}
    port = serve(**how, authenticator=postbox.check, auth_required=True, auth_require_tls=scheme == "smtp")
    use(f"{scheme}://postern:correct%20horse@{elsewhere}:{port}")
    send("alice@example.com", "a subject\r\nBcc: everybody@example.com", "the text")
    (arrived,) = postbox.mails
    assert arrived["To"] == "alice@example.com"
    assert arrived["From"] == "postern@example.com"
    assert arrived["Bcc"] is None
    assert arrived["Subject"] == "a subject Bcc: everybody@example.com"
    assert arrived["Auto-Submitted"] == "auto-generated"
    assert postbox.logins == [PASSWORD.encode()]
    assert postbox.names == ["postern.localhost"], "the server hears our name, not the machine's"


def test_on_this_machine_no_encryption_is_needed(serve: Serve, use: Callable[[str], None], postbox: Postbox) -> None:
    use(f"smtp://127.0.0.1:{serve()}")
    out = StringIO()
    call_command("mail-test", "alice@example.com", stdout=out)
    assert "handed in for alice@example.com" in out.getvalue()
    assert "a test" in postbox.mails[0]["Subject"]


def test_the_command_says_what_is_wrong(use: Callable[[str], None]) -> None:
    with pytest.raises(CommandError, match="no mail server is set"):
        call_command("mail-test", "alice@example.com")
    use(f"smtp://127.0.0.1:{free_port()}")
    with pytest.raises(CommandError, match="cannot be used: ConnectionRefusedError"):
        call_command("mail-test", "alice@example.com")


# --- notices ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def told(alice: Person, use: Callable[[str], None], serve: Serve) -> Callable[[], Notice]:
    """Alice has an address, and is told something."""
    User.objects.filter(pk=alice.user.pk).update(email="alice@example.com")
    alice.user.refresh_from_db()

    def tell() -> Notice:
        with transaction.atomic():
            notices.tell(TESTS, alice.user, Notice.Kind.PASSWORD_CHANGED)
        return Notice.objects.latest("created_at")

    return tell


def test_a_notice_is_mailed_once(
    told: Callable[[], Notice], use: Callable[[str], None], serve: Serve, postbox: Postbox
) -> None:
    use(f"smtp://127.0.0.1:{serve()}")
    notice = told()
    assert (notice_mail.mail_due(), notice_mail.mail_due()) == (1, 0)
    notice.refresh_from_db()
    assert notice.mailed_at
    assert notice.mail_due_at is None
    assert [mail["Subject"] for mail in postbox.mails] == ["Postern: Password changed"]


def test_a_server_that_is_down_gets_it_when_it_is_up_again(
    told: Callable[[], Notice], use: Callable[[str], None], serve: Serve, postbox: Postbox, clock: Clock
) -> None:
    """Tried again later and later; what happened is not held up by it."""
    port = free_port()
    use(f"smtp://127.0.0.1:{port}")
    notice = told()
    waits = []
    for _ in range(4):
        assert notice_mail.mail_due() == 0
        notice.refresh_from_db()
        assert notice.mail_due_at
        waits.append((notice.mail_due_at - clock.now).total_seconds())
        assert notice_mail.mail_due() == 0, "not before its time"
        clock.now = notice.mail_due_at
    assert waits == [15, 30, 60, 120]
    serve(port)
    assert notice_mail.mail_due() == 1
    assert len(postbox.mails) == 1


def test_after_a_day_it_is_given_up(told: Callable[[], Notice], use: Callable[[str], None], clock: Clock) -> None:
    use(f"smtp://127.0.0.1:{free_port()}")
    notice = told()
    Notice.objects.update(created_at=clock.now - notice_mail.GIVE_UP - timedelta(seconds=1))
    notice_mail.mail_due()
    notice.refresh_from_db()
    assert (notice.mail_due_at, notice.mailed_at) == (None, None)


def test_an_address_refused_for_good_holds_nobody_up(
    told: Callable[[], Notice], use: Callable[[str], None], serve: Serve, postbox: Postbox
) -> None:
    use(f"smtp://127.0.0.1:{serve()}")
    notice = told()
    postbox.refuse_recipient = "550 no such person"
    notice_mail.mail_due()
    notice.refresh_from_db()
    assert notice.mail_due_at is None
    postbox.refuse_recipient = "451 try later"
    later = told()
    notice_mail.mail_due()
    later.refresh_from_db()
    assert later.mail_due_at is not None


def test_two_workers_send_it_once(
    told: Callable[[], Notice], use: Callable[[str], None], serve: Serve, postbox: Postbox, monkeypatch: Any
) -> None:
    use(f"smtp://127.0.0.1:{serve()}")
    told()
    inner: list[int] = []

    def send_meanwhile(*arguments: str) -> None:
        inner.append(notice_mail.mail_due())  # another worker looks while the first is sending
        mail.send(*arguments)

    monkeypatch.setattr(notice_mail, "send", send_meanwhile)
    assert notice_mail.mail_due() == 1
    assert inner == [0]
    assert len(postbox.mails) == 1


# --- the whole product ------------------------------------------------------------------------------------------------


def test_the_products_worker_mails_what_happened_and_signing_in_never_waits(
    tmp_path: Path, serve: Serve, postbox: Postbox
) -> None:
    """smtps with a CA of our own; the server is down while the first thing happens."""
    authority, port = Authority(tmp_path), free_port()
    env = {
        "POSTERN_SMTP_URL": f"smtps://localhost:{port}",
        "POSTERN_MAIL_FROM": "postern@example.com",
        "SSL_CERT_FILE": str(authority.path),
    }
    with Product(tmp_path / "data", env=env) as product:
        person = WebPerson(product.http(), product.url)
        person.come_in(product.invite_url)
        change = "from accounts.models import *; User.objects.update(email='admin@example.com')"
        product.manage("shell", "-c", change)
        began = time.monotonic()
        new = {"password": person.password, "new_password": "many a mile to go before"}
        assert person._post("/account/password", new).status_code == 302
        assert time.monotonic() - began < 5, "nobody waits for a mail server"
        serve(port, ssl_context=authority.context("localhost"))
        deadline = time.monotonic() + 90
        while not postbox.mails and time.monotonic() < deadline:
            time.sleep(0.2)
        (arrived,) = postbox.mails[:1]
        assert arrived["To"] == "admin@example.com"
        assert arrived["Subject"] == "Postern: Password changed"
        assert f"{product.url}/account" in str(arrived.get_payload())
        assert "correct horse" not in product.output


def test_nobody_is_mailed_who_has_no_address(use: Callable[[str], None], serve: Serve, postbox: Postbox) -> None:
    use(f"smtp://127.0.0.1:{serve()}")
    user = create_user(TESTS, "dora")
    notices.tell(TESTS, user, Notice.Kind.PASSWORD_CHANGED)
    assert notice_mail.mail_due() == 0
    assert postbox.mails == []
