"""What is learnt by asking for something else: documents as an oracle, the log read without a trace, lost denials."""

from __future__ import annotations

import base64

import pytest
from django.utils import timezone

from broker import live as live_state
from broker.audit.origin import system
from broker.ca import CertificateKind, parse_public_key
from broker.ca.wire import string
from broker.errors import Denied, Invalid, NotFound
from broker.models import AuditEvent, Enrolment
from broker.services import authorities, enrolment
from broker.services.app_sessions import issue_app_token
from broker.services.apply import Source, apply
from broker.services.authorities import ensure_authorities
from broker.services.events import EventQuery, search_events
from broker.services.pages import cursor_for
from tests.broker.cast import Cast

SK = "sk-ssh-ed25519@openssh.com"
FIDO = f"{SK} {base64.b64encode(string(SK) + string(bytes(32)) + string('ssh:')).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        "{kind: group, metadata: {name: ops}}",
        "{kind: role_binding, spec: {role: administrator, user: adam}}",
        "{kind: role_binding, spec: {role: administratr, user: adm}}",
        "{kind: user, metadata: {name: zoe}, spec: {groups: [op]}}",
    ],
    ids=["exists", "who-is-administrator", "nearest-name", "nearest-group"],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_documents_are_no_oracle_for_who_may_not_write_them(cast: Cast, text: str, dry_run: bool) -> None:
    """R04: that nothing would change, or what was probably meant, is told to nobody without the right."""
    with pytest.raises(Denied):
        apply(cast.alice.origin, cast.alice.subject, [Source("a.yaml", text)], dry_run=dry_run)
    assert AuditEvent.objects.filter(name="access.denied", actor_name="alice").count() == 1


def test_the_log_is_not_read_without_a_trace(cast: Cast) -> None:
    """A cursor of one's own making begins at the newest event, and so is a first page."""
    search_events(cast.audrey.origin, cast.audrey.subject, EventQuery(), limit=5, cursor=cursor_for("9" * 18))
    assert AuditEvent.objects.filter(name="audit.read", actor_name="audrey").count() == 1


def test_following_a_page_is_no_second_search(cast: Cast) -> None:
    page = search_events(cast.audrey.origin, cast.audrey.subject, EventQuery(), limit=2)
    search_events(cast.audrey.origin, cast.audrey.subject, EventQuery(), limit=2, cursor=page.next)
    assert AuditEvent.objects.filter(name="audit.read").count() == 1
    search_events(cast.audrey.origin, cast.audrey.subject, EventQuery(search="vault"), limit=2, cursor=page.next)
    assert AuditEvent.objects.filter(name="audit.read").count() == 2


def test_an_app_session_refused_at_the_last_moment_is_on_record(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login session ends between the decision and the writing."""
    alice, live = cast.alice, live_state.current()
    live.fetch_login(str(alice.session.pk))
    type(alice.session).objects.filter(pk=alice.session.pk).update(ended_at=timezone.now())
    with pytest.raises(Denied):
        issue_app_token(alice.origin, alice.session, "grafana")
    event = AuditEvent.objects.get(name="access.denied")
    assert (event.resource_name, event.reasons) == ("grafana", ["session-expired"])


def test_a_key_that_cannot_be_a_hosts_does_not_spend_the_token(cast: Cast) -> None:
    """Neither a FIDO key nor our own authority's."""
    ensure_authorities()
    assert parse_public_key(FIDO).is_hardware
    script, _ = enrolment.prepare(cast.adam.origin, cast.adam.subject, "db-1")
    token = next(word for word in script.replace("'", " ").split() if word.startswith("ptn_enr_"))
    for key in (FIDO, authorities.trusted_lines(CertificateKind.HOST)[0]):
        with pytest.raises(Invalid):
            enrolment.host_certificate(system("test"), token, key)
    assert Enrolment.objects.get().used_at is None
    with pytest.raises(NotFound):
        enrolment.host_certificate(system("test"), "ptn_enr_" + "0" * 43, FIDO)
