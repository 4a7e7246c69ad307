"""What administrators do in the console, page by page: the change, what it says it cuts, and what it records."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Group, Invite, User
from broker.console.templatetags.postern import relative
from broker.models import AccessSession, App, AuditEvent, Binding, Lock, Role, Server
from tests.broker.cast import Cast, change
from tests.broker.console.browser import Browser, words
from tests.broker.console.test_access import app_session


@pytest.fixture
def adam(cast: Cast) -> Browser:
    """The administrator's browser."""
    return Browser("adam")


def last(name: str) -> AuditEvent:
    return AuditEvent.objects.filter(name=name).latest("seq")


def test_a_new_user_comes_with_a_link_that_is_shown_once(adam: Browser) -> None:
    page = adam.post(
        "/console/users/new", name="dora", full_name="Dora D", groups="ops", traits="logins: dora, deploy\nteam: db"
    )
    link = re.search(r"http://postern\.localhost:8080/invite/\w{43}", page.content.decode())
    dora = User.objects.get(username="dora")
    assert link
    assert page.headers["Cache-Control"] == "no-store"
    assert dora.traits == {"logins": ["dora", "deploy"], "team": ["db"]}
    assert [group.name for group in dora.groups.all()] == ["ops"]
    assert Invite.objects.filter(user=dora).count() == 1
    assert link[0] not in adam.text("/console/users/dora")
    assert "invited" in adam.text("/console/users/dora")
    assert last("user.invited").actor_name == "adam"


def test_what_is_wrong_stands_at_its_field_and_nothing_typed_is_lost(adam: Browser) -> None:
    page = adam.post(
        "/console/users/new", name="dora", email="not an address", groups="nosuchgroup", full_name="Dora D"
    )
    said = page.content.decode()
    assert page.status_code == 200
    assert 'id="id_email_error"' in said
    assert 'value="Dora D"' in said
    assert not User.objects.filter(username="dora").exists()
    again = adam.post("/console/users/new", name="dora", groups="ops, opps")
    assert "there is no group" in words(again)
    assert "did you mean" in words(again)
    taken = adam.post("/console/users/new", name="alice")
    assert "there is a user alice already" in words(taken)


def test_disabling_names_the_sessions_it_ends_and_ends_them(cast: Cast, adam: Browser) -> None:
    app_session(cast)
    before = words(adam.get("/console/users/alice/disable"))
    assert "ends 2 open sessions, at once and everywhere" in before
    assert User.objects.get(username="alice").is_active
    answer = adam.post("/console/users/alice/disable", confirm="yes", reason="left the company")
    page = words(adam.http.get(answer.headers["Location"]))
    assert "alice is disabled; 2 sessions ended" in page
    assert "left the company" in page
    assert last("user.disabled").data["why"] == "left the company"
    assert words(Browser("bob").get("/"))
    back = adam.post("/console/users/alice/enable")
    assert "alice may sign in again" in words(adam.http.get(back.headers["Location"]))


def test_without_the_answer_yes_nothing_is_done(adam: Browser) -> None:
    for path in ("/console/users/bob/disable", "/console/groups/ops/delete", "/console/apps/grafana/delete"):
        assert adam.post(path).status_code == 200
        assert adam.post(path, confirm="no").status_code == 200
    assert User.objects.get(username="bob").is_active
    assert Group.objects.filter(name="ops").exists()
    assert App.objects.filter(name="grafana").exists()


def test_the_last_administrator_cannot_shut_everybody_out(adam: Browser) -> None:
    answer = adam.get("/console/users/adam/disable")
    assert answer.status_code == 409
    assert "nobody who can administer" in words(answer)


def test_a_role_given_for_a_time_shows_its_end(adam: Browser) -> None:
    answer = adam.post("/console/users/charlie/roles/new", role="engineer", until="8h", reason="INC-7")
    binding = Binding.objects.get(user__username="charlie")
    assert answer.status_code == 302
    assert binding.expires_at
    assert timedelta(hours=7, minutes=59) < binding.expires_at - timezone.now() <= timedelta(hours=8)
    page = words(adam.get("/console/users/charlie"))
    assert f"engineer INC-7 themselves {relative(binding.expires_at)} Take away" in page
    past = adam.post("/console/users/bob/roles/new", role="engineer", until="2020-01-01 10:00")
    assert "this moment is over" in words(past)
    never = adam.post("/console/users/bob/roles/new", role="engineer", until="soon")
    assert "write a duration" in words(never)


def test_taking_a_role_away_says_what_it_cuts(cast: Cast, adam: Browser) -> None:
    app_session(cast)
    page = words(adam.get("/console/bindings/engineer:group:ops/remove"))
    assert "ends 1 open session, at once" in page
    assert "everybody in ops" in page
    answer = adam.post("/console/bindings/engineer:group:ops/remove", confirm="yes")
    assert answer.headers["Location"] == "/console/groups/ops"
    assert not Binding.objects.filter(role__name="engineer").exists()


def test_members_come_and_go(cast: Cast, adam: Browser) -> None:
    adam.post("/console/groups/ops/members", user="charlie")
    assert Group.objects.get(name="ops").members.filter(username="charlie").exists()
    assert "there is no user" in words(
        adam.http.get(adam.post("/console/groups/ops/members", user="nobody").headers["Location"])
    )
    app_session(cast)
    page = words(adam.get("/console/groups/ops/members/alice/remove"))
    assert "ends 1 open session" in page
    assert "takes away engineer" in page
    adam.post("/console/groups/ops/members/alice/remove", confirm="yes")
    assert not Group.objects.get(name="ops").members.filter(username="alice").exists()
    assert last("group.member.removed").data["user_name"] == "alice"


BAD_ROLE = """\
kind: role
metadata:
  name: engineer
spec:
  allow:
    app_lables: {env: dev}
    logins: [root, '*']
"""


def test_a_wrong_document_is_told_by_line_and_kept(adam: Browser) -> None:
    answer = adam.post("/console/roles/engineer/edit", text=BAD_ROLE, version=version(adam, "roles/engineer"))
    said, kept = words(answer), answer.content.decode()
    assert answer.status_code == 422
    assert "line 6" in said
    assert "app_labels" in said
    assert "line 7" in said
    assert "app_lables: {env: dev}" in kept
    assert "app_lables" not in str(Role.objects.get(name="engineer").document)


def test_a_document_is_checked_before_it_is_saved(cast: Cast, adam: Browser) -> None:
    app_session(cast)
    text = "{kind: role, metadata: {name: engineer}, spec: {allow: {app_labels: {env: prod}}}}"
    mark = version(adam, "roles/engineer")
    page = words(adam.post("/console/roles/engineer/edit", text=text, version=mark, do="check"))
    assert "ends 1 open session" in page
    assert "spec.allow.app_labels.env" in page
    assert Role.objects.get(name="engineer").document["spec"]["allow"]["app_labels"] == {"env": ["dev"]}
    answer = adam.post("/console/roles/engineer/edit", text=text, version=mark, do="save")
    assert "role engineer was changed; 1 session ended" in words(adam.http.get(answer.headers["Location"]))


def test_two_who_edit_at_once_do_not_overwrite_each_other(adam: Browser) -> None:
    mark = version(adam, "roles/reader")
    change("{kind: role, metadata: {name: reader}, spec: {allow: {logins: [other]}}}")
    answer = adam.post("/console/roles/reader/edit", text="{kind: role, metadata: {name: reader}}", version=mark)
    assert answer.status_code == 422
    assert "somebody else changed this role meanwhile" in words(answer)
    assert "as it is now" in words(answer)
    assert Role.objects.get(name="reader").document["spec"]["allow"]["logins"] == ["other"]


def test_a_document_keeps_its_kind_and_its_name(adam: Browser) -> None:
    mark = version(adam, "roles/reader")
    other = adam.post("/console/roles/reader/edit", text="{kind: role, metadata: {name: engineer}}", version=mark)
    assert "cannot be renamed" in words(other)
    app = adam.post("/console/roles/new", text="{kind: app, metadata: {name: x}, spec: {uri: 'http://192.0.2.1'}}")
    assert "this is a app, not a role" in words(app)
    two = adam.post(
        "/console/roles/new", text="{kind: role, metadata: {name: x}}\n---\n{kind: role, metadata: {name: y}}"
    )
    assert "there must be one document here, and there are 2" in words(two)
    taken = adam.post("/console/roles/new", text="{kind: role, metadata: {name: reader}}")
    assert "there is a role reader already" in words(taken)


def test_what_is_built_in_stays(adam: Browser) -> None:
    assert "/console/roles/auditor/edit" not in adam.text("/console/roles/auditor")
    for path in ("edit", "delete"):
        answer = adam.get(f"/console/roles/auditor/{path}")
        assert answer.status_code == 409
        assert "built in" in words(answer)


def test_a_server_is_added_and_enrolled_with_a_script_shown_once(adam: Browser) -> None:
    answer = adam.post("/console/servers/new", name="web-7", addr="192.0.2.77:22", labels="env: dev")
    assert answer.headers["Location"] == "/console/servers/web-7/enroll"
    page = adam.post("/console/servers/web-7/enroll", host_key="").content.decode()
    token = re.search(r"ptn_enr_\w+", page)
    assert token
    assert "AuthorizedPrincipalsCommand" in page
    assert "token that works once" in page
    assert token[0] not in adam.text("/console/servers/web-7/enroll")
    assert "not enrolled" in words(adam.get("/console/servers/web-7"))
    bad = adam.post("/console/servers/web-7/enroll", host_key="not a key")
    assert 'id="id_host_key_error"' in bad.content.decode()
    assert Server.objects.get(name="web-7").document["metadata"]["labels"] == {"env": "dev"}


def test_who_can_open_something_is_what_policy_decides(adam: Browser) -> None:
    app = words(adam.get("/console/apps/grafana"))
    assert re.search(r"alice engineer bob reader", app)
    assert "charlie" not in app
    server = words(adam.get("/console/servers/db-1"))
    assert "alice deploy, root engineer" in server
    assert "bob read reader" in server
    assert "Nobody: no role that somebody holds fits its labels" in words(adam.get("/console/apps/canary-vault"))


def test_a_lock_says_what_it_cuts_before_it_does(cast: Cast, adam: Browser) -> None:
    app_session(cast)
    form = {"kind": "user", "target": "alice", "ttl": "8h", "reason": "lost laptop"}
    page = words(adam.post("/console/locks/new", **form))
    assert "Lock user alice for 8 hours?" in page
    assert "ends 1 open session, at once and everywhere" in page
    assert not Lock.objects.exists()
    answer = adam.post("/console/locks/new", **form, confirm="yes")
    page = words(adam.http.get(answer.headers["Location"]))
    assert "user alice is locked; 1 session ended" in page
    lock = Lock.objects.get()
    assert "lost laptop" in words(adam.get("/console/users/alice"))
    assert "Lift the lock on user alice?" in words(adam.get(f"/console/locks/{lock.pk}/lift"))
    adam.post(f"/console/locks/{lock.pk}/lift", confirm="yes")
    assert "lifted by adam" in words(adam.get("/console/locks"))
    assert adam.get(f"/console/locks/{lock.pk}/lift").status_code == 404
    wrong = adam.post("/console/locks/new", **{**form, "target": "nobody"})
    assert "there is no user" in words(wrong)


def test_ending_a_login_session_cuts_what_hangs_on_it(cast: Cast, adam: Browser) -> None:
    app_session(cast)
    session = cast.alice.session
    page = words(adam.get(f"/console/login-sessions/{session.pk}/end"))
    assert "ends 2 open sessions, at once: the login session and 1 access session under it" in page
    adam.post(f"/console/login-sessions/{session.pk}/end", confirm="yes")
    session.refresh_from_db()
    assert session.ended_reason == "revoked"
    assert adam.get(f"/console/login-sessions/{session.pk}/end").status_code == 404
    assert "ended" in words(adam.get("/console/sessions"))


def test_ending_one_use_of_an_app_leaves_the_rest(cast: Cast, adam: Browser) -> None:
    use = app_session(cast)
    assert "End alice" in words(adam.get(f"/console/sessions/{use.pk}/end"))
    adam.post(f"/console/sessions/{use.pk}/end", confirm="yes")
    use.refresh_from_db()
    assert use.ended_reason == "revoked"
    assert last("app.session.ended").access_session_id == str(use.pk)
    assert cast.alice.session.ended_at is None
    assert "app.session.ended" in words(Browser("audrey").get(f"/console/sessions/{use.pk}"))


def test_sessions_are_found_by_who_what_and_state(cast: Cast, adam: Browser) -> None:
    use = app_session(cast)
    AccessSession.objects.create(
        **{field: getattr(use, field) for field in ("login_session_id", "user_id", "resource_id", "resource_name")},
        protocol="ssh",
        credential="certificate",
        user_name="bob",
        login="root",
        started_at=use.started_at,
        last_used_at=use.started_at,
        expires_at=use.started_at - timedelta(seconds=1),
    )

    def rows(**query: str) -> list[str]:
        return re.findall(r"/console/sessions/[0-9a-f-]{36}", adam.text("/console/sessions", **query))

    assert len(rows()) == 2
    assert len(rows(state="live")) == len(rows(user="alice")) == len(rows(protocol="app")) == 1
    assert len(rows(state="past")) == len(rows(user="bob")) == len(rows(protocol="ssh")) == 1
    assert rows(resource="nothing") == []


def test_an_empty_list_says_what_to_do(adam: Browser) -> None:
    assert "No user matches" in words(adam.get("/console/users", q="zzz"))
    assert "Nothing is locked" in words(adam.get("/console/locks"))
    assert "Nothing was used yet" in words(adam.get("/console/sessions"))
    assert "You may administer Postern, which by itself opens nothing" in words(adam.get("/"))
    assert "Ask an administrator" in words(Browser("charlie").get("/"))


@pytest.mark.parametrize(
    "path", ["users/nobody", "groups/none", "roles/none", "apps/none", "servers/none", "bindings/a:user:b/remove"]
)
def test_what_is_not_there_is_a_page_that_says_so(adam: Browser, path: str) -> None:
    assert adam.get(f"/console/{path}").status_code == 404


def version(browser: Browser, path: str) -> str:
    found = re.search(r'name="version" value="(\w{24})"', browser.text(f"/console/{path}/edit"))
    assert found
    return found[1]
