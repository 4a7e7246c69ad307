"""Handing a mail to the server in `POSTERN_SMTP_URL`: encrypted and verified, or on this machine, or not at all."""

from __future__ import annotations

import ipaddress
import re
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

from django.conf import settings

from broker.errors import PosternError
from broker.mail_server import MAIL_ADDRESS, MailServer, mail_server

TIMEOUT = 15.0
"""Seconds for each step of the conversation."""


class MailFailed(PosternError):
    """A mail could not be handed in. `for_good`: trying again will not help."""

    def __init__(self, message: str, hint: str = "", *, for_good: bool = False) -> None:
        super().__init__(message, hint)
        self.for_good = for_good


def may_be_sent() -> bool:
    """Whether there is a server to hand mails to."""
    return bool(settings.POSTERN.smtp_url.get_secret_value())


def send(to: str, subject: str, text: str) -> None:
    """Hand one mail in. Raises MailFailed."""
    if not may_be_sent():
        raise MailFailed("no mail server is set", "set POSTERN_SMTP_URL and POSTERN_MAIL_FROM", for_good=True)
    message = _message(to, subject, text)
    server = mail_server(settings.POSTERN.smtp_url.get_secret_value())
    try:
        with _connected(server) as smtp:
            if server.user:
                smtp.login(server.user, server.password)
            smtp.send_message(message)
    except MailFailed:
        raise
    except smtplib.SMTPAuthenticationError:
        raise MailFailed("the mail server refuses our name or password", "look at POSTERN_SMTP_URL") from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise MailFailed("the mail server refuses the address", for_good=all(code >= 500 for code in codes)) from None
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message or "it cannot be verified"
        raise MailFailed(f"the mail server's certificate is not good: {why}", "set SSL_CERT_FILE to your CA") from None
    except smtplib.SMTPResponseException as error:
        raise MailFailed(f"the mail server answered {error.smtp_code}") from None
    except (smtplib.SMTPException, OSError) as error:  # their words may hold what was sent
        raise MailFailed(f"the mail server cannot be used: {type(error).__name__}") from None


def _connected(server: MailServer) -> smtplib.SMTP:
    ours = settings.POSTERN.host
    context = ssl.create_default_context()
    if server.tls:
        return smtplib.SMTP_SSL(server.host, server.port, ours, timeout=TIMEOUT, context=context)
    smtp = smtplib.SMTP(server.host, server.port, ours, timeout=TIMEOUT)
    try:
        if not _is_here(server.host):
            smtp.starttls(context=context)
            smtp.ehlo(ours)
    except smtplib.SMTPNotSupportedError:
        smtp.close()
        raise MailFailed("the mail server offers no encryption", "use smtps://, or a server with STARTTLS") from None
    except BaseException:
        smtp.close()
        raise
    return smtp


def _is_here(host: str) -> bool:
    """Whether what is sent does not leave this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _message(to: str, subject: str, text: str) -> EmailMessage:
    if not re.fullmatch(MAIL_ADDRESS, to):
        raise MailFailed("this is no address that a mail could go to", for_good=True)
    message = EmailMessage(policy=SMTP)
    message["From"] = settings.POSTERN.mail_from
    message["To"] = to
    message["Subject"] = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", subject)[:150]
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=settings.POSTERN.host)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's vacation answers
    message.set_content(text)
    return message
