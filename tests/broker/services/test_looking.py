"""Looking: lists show only what is yours, `why` tells no more, and reading the log is on record."""

from __future__ import annotations

import pytest

from broker.errors import Denied, Invalid
from broker.models import AuditEvent
from broker.policy import Reason
from broker.services import locks
from broker.services.events import EventQuery, export_events, search_events
from broker.services.resources import list_resources, list_servers
from broker.services.sessions import SessionQuery, list_login_sessions
from broker.services.why import Question, explain_access
from tests.broker.cast import Cast, change


def names(cast: Cast, who: str, **how: str) -> list[tuple[str, str]]:
    actor = getattr(cast, who)
    return [(item.kind, item.name) for item in list_resources(actor.origin, actor.subject, **how).items]  # type: ignore[arg-type]


@pytest.mark.parametrize("who", ["charlie", "adam", "audrey", "holly"])
def test_whoever_has_no_role_that_opens_anything_sees_nothing(cast: Cast, who: str) -> None:
    """R01, R04: an administrator opens nothing by that alone."""
    assert names(cast, who) == []
    assert names(cast, who, search="canary") == []


def test_everybody_sees_theirs_with_the_logins_that_open_it(cast: Cast) -> None:
    assert names(cast, "alice") == [("app", "grafana"), ("server", "db-1")]
    assert names(cast, "alice", search="DASHBOARDS") == [("app", "grafana")]
    assert names(cast, "alice", search="env=prod") == []
    assert names(cast, "alice", kind="server") == [("server", "db-1")]
    (server,) = list_servers(cast.alice.origin, cast.alice.subject)
    assert server.logins == ("deploy", "root")
    assert list_servers(cast.bob.origin, cast.bob.subject)[0].logins == ("read",)


def test_a_locked_app_is_listed_no_more(cast: Cast) -> None:
    locks.create_lock(cast.adam.origin, cast.adam.subject, "app", "grafana", reason="incident")
    assert names(cast, "alice") == [("server", "db-1")]


def test_pages_follow_each_other_without_gap_or_repetition(cast: Cast) -> None:
    text = "\n---\n".join(
        f"{{kind: server, metadata: {{name: s-{n:03}, labels: {{env: dev}}}}, spec: {{addr: '192.0.2.40:22'}}}}"
        for n in range(25)
    )
    change(text)
    seen, cursor = [], ""
    while True:
        page = list_resources(cast.alice.origin, cast.alice.subject, limit=10, cursor=cursor)
        seen += [item.name for item in page.items]
        cursor = page.next
        if not cursor:
            break
    assert seen == ["grafana", "db-1", *(f"s-{n:03}" for n in range(25))]


def test_why_tells_what_failed_first_in_each_role(cast: Cast) -> None:
    question = Question("ssh.session", "server", "db-1", login="read", user="alice")
    answer = explain_access(cast.adam.origin, cast.adam.subject, question)
    (tried,) = answer.explanation.tried
    assert (tried.role, tried.via, tried.failed) == ("engineer", "group:ops", Reason.LOGIN_NOT_ALLOWED)
    assert "freshly signed in" in answer.assumed


def test_why_about_somebody_else_needs_the_right_to_read_users_and_roles(cast: Cast) -> None:
    for actor in (cast.bob, cast.audrey):
        with pytest.raises(Denied):
            explain_access(actor.origin, actor.subject, Question("app.request", "app", "grafana", user="alice"))


def test_why_about_oneself_does_not_tell_what_exists(cast: Cast) -> None:
    """R04: somebody else's app and no app at all get the same explanation."""
    told = []
    for name in ("canary-vault", "no-such-thing"):
        answer = explain_access(cast.alice.origin, cast.alice.subject, Question("app.request", "app", name))
        told.append(repr(answer.explanation).replace(name, "NAME"))
    assert told[0] == told[1]
    assert "prod" not in told[0]


def test_why_names_the_nearest_action(cast: Cast) -> None:
    with pytest.raises(Invalid) as caught:
        explain_access(cast.alice.origin, cast.alice.subject, Question("app.requst", "app", "grafana"))
    assert caught.value.hint == "did you mean 'app.request'?"


@pytest.mark.parametrize("who", ["alice", "adam", "holly"])
def test_only_an_auditor_reads_the_log(cast: Cast, who: str) -> None:
    actor = getattr(cast, who)
    with pytest.raises(Denied):
        search_events(actor.origin, actor.subject, EventQuery())
    with pytest.raises(Denied):
        export_events(actor.origin, actor.subject, EventQuery())


def test_a_search_is_on_record_once_however_many_pages_it_has(cast: Cast) -> None:
    audrey = cast.audrey
    query = EventQuery(type="role", search="engineer")
    first = search_events(audrey.origin, audrey.subject, EventQuery(), limit=2)
    search_events(audrey.origin, audrey.subject, EventQuery(), limit=2, cursor=first.next)
    assert [row.name for row in search_events(audrey.origin, audrey.subject, query).items] == ["role.created"]
    reads = AuditEvent.objects.filter(name="audit.read", actor_name="audrey")
    assert [read.data["query"] for read in reads.order_by("seq")] == ["{}", query.words()]


@pytest.mark.parametrize("word", ["'", '"', "%", "_", "\\", "';--", "engineer' OR '1'='1", "\u202e", "{}", "$.x"])
def test_whatever_is_searched_for_is_only_text(cast: Cast, word: str) -> None:
    """A17, D15."""
    audrey = cast.audrey
    query = EventQuery(word, word, word, "permit", word)
    assert search_events(audrey.origin, audrey.subject, query).items == []
    assert list_login_sessions(audrey.origin, audrey.subject, SessionQuery(word, word, False, word)).items == []
