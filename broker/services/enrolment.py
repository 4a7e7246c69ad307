"""Enrolling a server: the few lines a host runs itself to trust us, and its host certificate."""

from __future__ import annotations

import shlex
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from broker.audit.event import ServerEnrolmentPrepared
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.ca import parse_public_key
from broker.ca.profile import CertificateKind
from broker.errors import Invalid, NotFound
from broker.models import Enrolment, Server
from broker.policy import Subject
from broker.services import authorities
from broker.services.certificates import issue_host
from broker.services.decisions import require
from broker.tokens import digest, new_token

TTL = timedelta(hours=1)


def prepare(origin: Origin, subject: Subject | None, name: str, host_key: str = "") -> tuple[str, str]:
    """The script for a server, and until when it works (ISO 8601; empty: always).

    With the server's public host key at hand the certificate is in the script, and the host needs no way to us.
    Else the script fetches it with a one-use token that is good for an hour. Raises `Denied`, `NotFound`, `Invalid`.
    """
    require(origin, subject, "server.update", name)
    server = Server.objects.filter(name=name).first()
    if server is None:
        raise NotFound(f"there is no server {name!r}", "list them with: postern admin get server")
    if host_key:
        certificate = issue_host(origin, server, host_key).certificate
        return script(server.name, certificate=certificate), ""
    token = new_token("ptn_enr_")
    expires = timezone.now() + TTL
    with transaction.atomic():
        Enrolment.objects.create(
            server=server, token_hash=digest(token), created_by=origin.actor_name, expires_at=expires
        )
        record(origin, ServerEnrolmentPrepared(id=str(server.pk), label=server.name))
    return script(server.name, token=token), expires.isoformat()


def host_certificate(origin: Origin, token: str, host_key: str) -> str:
    """The host certificate for the server an enrolment token names; the token is spent by it.

    Raises `NotFound` for a token that is unknown, spent or expired (they sound the same), `Invalid` for a bad key.
    """
    ours = authorities.blobs()
    with transaction.atomic():
        enrolment = (
            Enrolment.objects.select_for_update()
            .select_related("server")
            .filter(token_hash=digest(token), used_at=None, expires_at__gt=timezone.now())
            .first()
        )
        if enrolment is None:
            raise NotFound(
                "this enrolment token is not good (any more)", "print a new script: postern admin servers enroll"
            )
        if parse_public_key(host_key, ours).is_hardware:  # a bad key must not spend the token
            raise Invalid("a host key cannot be a FIDO key", "send the one in /etc/ssh/ssh_host_ed25519_key.pub")
        enrolment.used_at = timezone.now()
        enrolment.save(update_fields=["used_at"])
    by = Origin("system", "", f"enrolment of {enrolment.server.name}", origin.address, origin.request_id)
    return issue_host(by, enrolment.server, host_key).certificate


def script(name: str, *, token: str = "", certificate: str = "") -> str:
    """The shell script that makes a plain OpenSSH server trust us for principals `LOGIN@NAME` and nothing else.

    It changes no other line of the host's configuration, checks the result with `sshd -t` and takes it back if bad.
    """
    user_ca = "\n".join(authorities.trusted_lines(CertificateKind.USER))
    if certificate:
        fetch = f"cat > \"$key-cert.pub.new\" <<'CERTIFICATE'\n{certificate.strip()}\nCERTIFICATE"
    else:
        url = shlex.quote(f"{settings.POSTERN.url}/api/v1/enroll/host-certificate")
        fetch = _FETCH.format(token=shlex.quote(token), url=url)
    return _SCRIPT.format(name=name, user_ca=user_ca, fetch=fetch)


# The token goes to curl on its standard input, so that it is in no process list; old curls know all of these options.
_FETCH = """\
status=$(printf 'header = "Authorization: Bearer %s"\\n' {token} |
  curl --config - --silent --show-error --output "$key-cert.pub.new" --write-out '%{{http_code}}' \\
    --header 'Content-Type: text/plain' --data-binary @"$key.pub" {url}) || status=000
if [ "$status" != 200 ]; then
  echo "error: no host certificate (HTTP $status)" >&2
  cat "$key-cert.pub.new" >&2 2>/dev/null || true
  rm -f "$key-cert.pub.new"
  exit 1
fi"""

_SCRIPT = """\
#!/bin/sh
# Postern: this host's sshd will take certificates for LOGIN@{name}. Run as root on {name}.
set -eu
umask 022
ssh=${{POSTERN_SSH_DIR:-/etc/ssh}}
key=${{POSTERN_HOST_KEY:-$ssh/ssh_host_ed25519_key}}
conf=$ssh/sshd_config.d/50-postern.conf
[ -r "$key.pub" ] || {{ echo "error: no host key $key.pub (make one: ssh-keygen -A)" >&2; exit 1; }}
{fetch}
mv "$key-cert.pub.new" "$key-cert.pub"
cat > "$ssh/postern_user_ca.pub" <<'KEYS'
{user_ca}
KEYS
mkdir -p "$ssh/sshd_config.d"
grep -qiE '^[[:space:]]*Include[[:space:]].*sshd_config\\.d' "$ssh/sshd_config" ||
  sed -i "1i Include $ssh/sshd_config.d/*.conf" "$ssh/sshd_config"
cat > "$conf" <<CONF
TrustedUserCAKeys $ssh/postern_user_ca.pub
AuthorizedPrincipalsCommand /bin/echo %u@{name}
AuthorizedPrincipalsCommandUser nobody
HostCertificate $key-cert.pub
CONF
if ! "$(command -v sshd || echo /usr/sbin/sshd)" -t -f "$ssh/sshd_config"; then
  rm -f "$conf"
  echo "error: sshd does not take this configuration; $conf is removed, nothing else changed" >&2
  exit 1
fi
if [ -z "${{POSTERN_SSH_DIR:-}}" ]; then
  systemctl reload ssh 2>/dev/null || systemctl reload sshd 2>/dev/null || service ssh reload 2>/dev/null ||
    kill -HUP "$(cat /run/sshd.pid)"
fi
echo "{name} now takes Postern's certificates"
"""
