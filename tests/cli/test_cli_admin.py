"""admin: what is sent, what is asked before, what is printed, and that nothing typed is lost."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from postern import documents, output, plan
from postern.errors import UsageProblem
from postern.state import Session

from tests.cli.broker_double import Answer, Asked, BrokerDouble, iso
from tests.cli.conftest import Ran, postern_process

Postern = Callable[..., Ran]
APPLY = "POST /api/v1/admin/apply"
ROLE = {
    "kind": "role",
    "metadata": {"name": "dev", "description": "developers"},
    "spec": {"allow": {"logins": ["app"]}},
}


def applied(*changes: dict[str, Any], **more: Any) -> Answer:
    return 200, {"changes": list(changes), "applied": True, "unchanged": 3, "ends_sessions": 0} | more


ADDED = {
    "kind": "role",
    "name": "dev",
    "change": "create",
    "fields": [{"path": "kind", "before": None, "after": "role"}],
}
CHANGED = {
    "kind": "app",
    "name": "grafana",
    "change": "update",
    "fields": [{"path": "spec.uri", "before": "http://a", "after": "http://b"}],
}
GONE = {"kind": "role_binding", "name": "bob-dev", "change": "delete", "fields": []}


# --- reading files


def test_a_directory_is_read_with_all_below_it_in_order(tmp_path: Path) -> None:
    """With --prune, a file passed over would be taken for one that was removed."""
    for name in ("b.yaml", "a.yml", "sub/c.yaml", ".hidden/d.yaml", ".e.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    found = documents.read_all([str(tmp_path)])
    assert [document["source"] for document in found] == [str(tmp_path / n) for n in ("a.yml", "b.yaml", "sub/c.yaml")]
    assert found[2]["text"] == "# sub/c.yaml\n"


def test_files_that_cannot_be_sent_are_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "big.yaml").write_bytes(b"#" * (documents.MAX_BYTES + 1))
    for name, words in (
        ("latin.yaml", "UTF-8 at byte 9"),
        ("empty", "no .yaml"),
        ("big.yaml", "larger"),
        ("no", "read"),
    ):
        with pytest.raises(UsageProblem, match=words):
            documents.read_all([str(tmp_path / name)])


# --- plans


def test_a_plan_shows_what_changes() -> None:
    two = CHANGED | {"fields": [*CHANGED["fields"], {"path": "spec.public", "before": ["a"], "after": None}]}
    answer = {"changes": [ADDED, CHANGED, two, GONE], "unchanged": 3, "ends_sessions": 2}
    assert plan.text(answer, dry_run=True).splitlines() == [
        "+ role dev",
        "~ app grafana: spec.uri http://a → http://b",
        "~ app grafana",
        "    spec.uri http://a → http://b",
        '    spec.public ["a"] → (none)',
        "- role_binding bob-dev",
        "1 to add, 2 to change, 1 to remove, 3 unchanged; would end 2 sessions",
    ]
    assert plan.summary(answer, dry_run=False) == "1 added, 2 changed, 1 removed, 3 unchanged; ended 2 sessions"
    assert plan.text({"changes": [], "unchanged": 7}, dry_run=False) == "nothing to change, 7 as they should be"


# --- apply


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "dev.yaml").write_text("kind: role\n")
    return str(tmp_path / "dev.yaml")


def test_apply_sends_the_text_and_prints_the_changes(
    postern: Postern, alice: Session, broker: BrokerDouble, file: str
) -> None:
    broker.answers[APPLY] = applied(ADDED)
    ran = postern("admin", "apply", "-f", file)
    assert (ran.code, ran.out) == (0, "+ role dev\n1 added, 3 unchanged\n")
    documents_sent = [{"source": file, "text": "kind: role\n"}]
    assert broker.asked[0].body == {"documents": documents_sent, "dry_run": False, "prune": False, "confirm": False}


def test_apply_reads_stdin(alice: Session, broker: BrokerDouble) -> None:
    broker.answers[APPLY] = applied(ADDED)
    assert postern_process("admin", "apply", "-f", "-", typed="kind: role\n").code == 0
    assert broker.asked[0].body["documents"] == [{"source": "stdin", "text": "kind: role\n"}]


def test_a_dry_run_says_would_and_changes_nothing(
    postern: Postern, alice: Session, broker: BrokerDouble, file: str
) -> None:
    broker.answers[APPLY] = applied(CHANGED, ends_sessions=1)
    ran = postern("admin", "apply", "-f", file, "--dry-run", "--prune")
    assert ran.out.endswith("1 to change, 3 unchanged; would end 1 session\n")
    assert [asked.body["dry_run"] for asked in broker.asked] == [True]
    assert [asked.body["confirm"] for asked in broker.asked] == [False]


def test_prune_lists_what_goes_and_without_a_terminal_refuses(alice: Session, broker: BrokerDouble, file: str) -> None:
    broker.answers[APPLY] = applied(GONE)
    ran = postern_process("admin", "apply", "-f", file, "--prune")
    assert ran.code == 2
    assert "- role_binding bob-dev" in ran.err
    assert "remove 1 (role_binding bob-dev) and apply the rest?" in ran.err
    assert [asked.body["dry_run"] for asked in broker.asked] == [True]


def test_prune_with_yes_confirms_to_the_broker(
    postern: Postern, alice: Session, broker: BrokerDouble, file: str
) -> None:
    broker.answers[APPLY] = applied(GONE)
    assert (
        postern("admin", "apply", "-f", file, "--prune", "--yes").out
        == "- role_binding bob-dev\n1 removed, 3 unchanged\n"
    )
    assert broker.asked[-1].body["confirm"] is True


def test_the_only_problem_is_said_once(postern: Postern, alice: Session, broker: BrokerDouble, tmp_path: Path) -> None:
    """The broker's detail is the problem itself when there is only one."""
    (tmp_path / "roles.yaml").write_text("kind: role\n")
    message = "unknown key 'alow' in spec (did you mean 'allow'?)"
    problem = {"source": "roles.yaml", "line": 7, "path": "spec.alow", "message": message}
    broker.answers[APPLY] = (422, {"detail": f"roles.yaml:7: {message}", "problems": [problem]})
    ran = postern("admin", "apply", "-f", str(tmp_path))
    assert (ran.code, ran.err.count("alow")) == (1, 1)


def test_problems_read_like_a_compilers_and_fail(
    postern: Postern, alice: Session, broker: BrokerDouble, file: str
) -> None:
    problem = {"source": file, "line": 7, "path": "", "message": "unknown key 'alow'", "hint": "did you mean allow?"}
    broker.answers[APPLY] = (422, {"detail": "the documents cannot be read", "problems": [problem], "request_id": "r1"})
    ran = postern("admin", "apply", "-f", file)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "error: the documents cannot be read",
        f"  {file}:7: unknown key 'alow' (did you mean allow?)",
        "request id: r1",
    ]


# --- get, rm


@pytest.mark.parametrize(
    ("typed", "path"),
    [("roles", "role"), ("role", "role"), ("bindings", "role_binding"), ("role_binding", "role_binding")],
)
def test_get_takes_kinds_as_people_write_them(
    postern: Postern, alice: Session, broker: BrokerDouble, typed: str, path: str
) -> None:
    broker.answers[f"GET /api/v1/admin/{path}"] = (200, {"items": [ROLE]})
    assert postern("admin", "get", typed).out == (
        "Name Labels Description\n---- ------ -----------\ndev         developers\n"
    )


def test_connectors_are_told_apart_and_what_is_off_is_said(
    postern: Postern, alice: Session, broker: BrokerDouble
) -> None:
    spec = {"issuer": "https://id.example.com", "client_secret": "kept:0123456789ab", "display": "Corp"}
    corp = {"kind": "oidc", "metadata": {"name": "corp"}, "spec": spec}
    old = {"kind": "oidc", "metadata": {"name": "old"}, "spec": {**spec, "enabled": False, "display": "Old"}}
    broker.answers["GET /api/v1/admin/oidc"] = (200, {"items": [corp, old]})
    lines = [line.split() for line in postern("admin", "get", "oidc").out.splitlines()]
    assert lines[0] == ["Name", "Issuer", "State", "Shown", "as"]
    assert lines[2:] == [
        ["corp", "https://id.example.com", "on", "Corp"],
        ["old", "https://id.example.com", "off", "Old"],
    ]


def test_users_are_told_apart_by_more_than_their_names(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    users = [
        {"kind": "user", "metadata": {"name": "admin"}},
        {
            "kind": "user",
            "metadata": {"name": "alice"},
            "spec": {"full_name": "Alice Adams", "email": "alice@example.com", "groups": ["dev", "sre"]},
        },
    ]
    broker.answers["GET /api/v1/admin/user"] = (200, {"items": users})
    lines = postern("admin", "users", "ls").out.splitlines()
    assert lines[0].split() == ["Name", "Full", "name", "E-mail", "Groups"]
    assert [line.split() for line in lines[2:]] == [
        ["admin"],
        ["alice", "Alice", "Adams", "alice@example.com", "dev,sre"],
    ]


def test_get_prints_one_document_as_yaml_that_can_be_applied(
    postern: Postern, alice: Session, broker: BrokerDouble
) -> None:
    import yaml

    broker.answers["GET /api/v1/admin/role/dev"] = (200, ROLE)
    assert yaml.safe_load(postern("admin", "get", "role/dev").out) == ROLE
    broker.answers["GET /api/v1/admin/role"] = (200, {"items": [ROLE, ROLE]})
    assert list(yaml.safe_load_all(postern("admin", "get", "role", "-o", "yaml").out)) == [ROLE, ROLE]
    assert json.loads(postern("admin", "get", "role", "-o", "json").out) == [ROLE, ROLE]


def test_rm_says_what_it_ends_before_it_does(alice: Session, broker: BrokerDouble) -> None:
    broker.answers["DELETE /api/v1/admin/role/dev"] = (200, {"ends_sessions": 3})
    ran = postern_process("admin", "rm", "role/dev")
    assert ran.code == 2
    assert "remove role dev, which ends 3 sessions?" in ran.err
    assert [asked.query for asked in broker.asked] == [{"dry_run": "true"}]


def test_rm_with_yes_removes(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    broker.answers["DELETE /api/v1/admin/role/dev"] = (200, {"ends_sessions": 1})
    assert postern("admin", "rm", "role/dev", "--yes").out == "removed role dev; ended 1 session\n"
    assert [asked.query for asked in broker.asked] == [{}]


@pytest.mark.parametrize("target", ["dev", "role", "role/", "secret/x", ""])
def test_rm_wants_kind_and_name(postern: Postern, alice: Session, broker: BrokerDouble, target: str) -> None:
    assert postern("admin", "rm", target, "--yes").code == 2
    assert broker.asked == []


# --- edit


def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *edits: tuple[str, str]) -> None:
    """An $EDITOR that makes one replacement each time it is opened, and the last one ever after."""
    script = tmp_path / "my editor.py"
    script.write_text(
        "import pathlib, sys\n"
        f"edits = {edits!r}\n"
        "count = pathlib.Path(__file__).with_suffix('.count')\n"
        "n = int(count.read_text()) if count.exists() else 0\n"
        "count.write_text(str(n + 1))\n"
        "file = pathlib.Path(sys.argv[1])\n"
        "assert file.stat().st_mode & 0o777 == 0o600\n"
        "file.write_text(file.read_text().replace(*edits[min(n, len(edits) - 1)]))\n"
    )
    monkeypatch.setenv("EDITOR", f"{sys.executable} '{script}'")


@pytest.fixture
def role(broker: BrokerDouble) -> None:
    broker.answers["GET /api/v1/admin/role/dev"] = (200, ROLE)
    broker.answers[APPLY] = applied(CHANGED | {"kind": "role", "name": "dev"})


@pytest.mark.usefixtures("alice", "role")
def test_edit_applies_what_was_typed(
    postern: Postern, broker: BrokerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(tmp_path, monkeypatch, ("app", "root"))
    ran = postern("admin", "edit", "role/dev")
    assert ran.code == 0, ran.err
    (sent,) = broker.asked_for(APPLY)
    assert sent.body["documents"][0]["source"] == "role/dev"
    assert "- root" in sent.body["documents"][0]["text"]
    assert sent.body["prune"] is False


@pytest.mark.usefixtures("alice", "role")
def test_edit_without_a_change_sends_nothing(
    postern: Postern, broker: BrokerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(tmp_path, monkeypatch, ("nothing", "nothing"))
    assert postern("admin", "edit", "role/dev").code == 0
    assert broker.asked_for(APPLY) == []


def kept(ran: Ran) -> Path:
    """The file that an error says holds what was typed."""
    found = re.search(r"your text is kept in (\S+)", ran.err)
    assert found, ran.err
    return Path(found[1])


@pytest.mark.usefixtures("alice", "role")
@pytest.mark.parametrize(
    "failure",
    [
        (422, {"detail": "no", "problems": [{"source": "role/dev", "line": 2, "message": "wrong"}]}),
        (403, {"detail": "denied"}),
        (500, {"detail": "broken"}),
    ],
)
def test_edit_never_loses_what_was_typed(
    broker: BrokerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Answer
) -> None:
    broker.answers[APPLY] = failure
    editor(tmp_path, monkeypatch, ("app", "typed-with-care"))
    ran = postern_process("admin", "edit", "role/dev")
    assert ran.code == 1
    assert "typed-with-care" in kept(ran).read_text()
    assert kept(ran).stat().st_mode & 0o777 == 0o600
    kept(ran).unlink()


@pytest.mark.usefixtures("alice", "role")
def test_edit_shows_problems_and_opens_again(
    postern: Postern, broker: BrokerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judge(asked: Asked) -> Answer:
        if "second" in asked.body["documents"][0]["text"]:
            return applied(CHANGED)
        problem = {"source": "role/dev", "line": 6, "message": "'first' is no login"}
        return 422, {"detail": "the document is wrong", "problems": [problem]}

    broker.answers[APPLY] = judge
    editor(tmp_path, monkeypatch, ("app", "first"), ("first", "second"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    ran = postern("admin", "edit", "role/dev")
    assert ran.code == 0, ran.err
    assert "role/dev:6: 'first' is no login" in ran.err
    assert len(broker.asked_for(APPLY)) == 2


@pytest.mark.usefixtures("alice", "role")
def test_edit_does_not_overwrite_what_somebody_else_changed_meanwhile(
    broker: BrokerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = iter([ROLE, ROLE | {"spec": {}}])
    broker.answers["GET /api/v1/admin/role/dev"] = lambda asked: (200, next(versions))
    editor(tmp_path, monkeypatch, ("app", "root"))
    ran = postern_process("admin", "edit", "role/dev")
    assert ran.code == 1
    assert "changed by somebody else" in ran.err
    assert broker.asked_for(APPLY) == []
    kept(ran).unlink()


@pytest.mark.usefixtures("alice", "role")
@pytest.mark.parametrize("edit", [("name: dev", "name: prod"), ("kind: role", "kind: user"), ("kind: role", "kind: [")])
def test_edit_of_one_document_makes_no_other(
    broker: BrokerDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: tuple[str, str]
) -> None:
    editor(tmp_path, monkeypatch, edit)
    ran = postern_process("admin", "edit", "role/dev")
    assert ran.code == 1
    assert broker.asked_for(APPLY) == []
    kept(ran).unlink()


@pytest.mark.usefixtures("alice", "role")
def test_a_missing_editor_is_named(postern: Postern, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "/nonexistent/editor")
    ran = postern("admin", "edit", "role/dev")
    assert ran.code == 1
    assert "cannot start the editor" in ran.err
    kept(ran).unlink()


# --- locks, users, servers, sessions, events


def test_lock_says_who_until_when_and_why(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    made = {"id": "L1", "target": {"kind": "user", "name": "bob"}, "expires_at": iso(2e9), "ends_sessions": 2}
    broker.answers["POST /api/v1/admin/locks"] = (201, made)
    ran = postern("admin", "lock", "user", "bob", "--ttl", "1h30m", "--reason", "lost laptop")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("locked user bob 2033-05-18 03:33:20 UTC [valid for ")
    assert ran.out.endswith(": lost laptop (lock L1); ended 2 sessions\n")
    assert broker.asked[0].body == {"target": {"kind": "user", "name": "bob"}, "reason": "lost laptop", "ttl": "1h30m"}


@pytest.mark.parametrize(
    "words",
    [("user", "bob"), ("planet", "x", "--reason", "r"), ("user", "bob", "--reason", "r", "--ttl", "soon")],
)
def test_lock_wants_a_reason_a_kind_and_a_length(
    postern: Postern, alice: Session, broker: BrokerDouble, words: tuple[str, ...]
) -> None:
    assert postern("admin", "lock", *words).code == 2
    assert broker.asked == []


def test_unlock_by_name_lifts_exactly_those_locks(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    locks = [
        {"id": f"L{n}", "target": {"kind": kind, "name": name}, "reason": "r", "expires_at": None, "created_by": "root"}
        for n, (kind, name) in enumerate([("user", "bob"), ("role", "bob"), ("user", "bobby"), ("user", "bob")])
    ]
    broker.answers["GET /api/v1/admin/locks"] = (200, {"items": locks})
    for n in range(4):
        broker.answers[f"DELETE /api/v1/admin/locks/L{n}"] = (204, None)
    assert postern("admin", "unlock", "user", "bob").out == "lifted 2 locks\n"
    assert [asked.path[-2:] for asked in broker.asked if asked.method == "DELETE"] == ["L0", "L3"]
    assert postern("admin", "unlock", "user", "charlie").code == 1
    assert postern("admin", "unlock", "L1").out == "lifted 1 lock\n"
    assert "L1 role bob   no end r      root" in postern("admin", "locks", "ls").out


def test_disable_asks_and_says_what_ended(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    broker.answers["POST /api/v1/admin/users/bob/disable"] = (200, {"ends_sessions": 2})
    assert postern_process("admin", "users", "disable", "bob").code == 2
    assert broker.asked == []
    assert postern("admin", "users", "disable", "bob", "--yes").out == "disabled bob; ended 2 sessions\n"


def test_invite_prints_the_link_first(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    link = {"url": "https://b/invite/x", "expires_at": iso(2e9)}
    broker.answers["POST /api/v1/admin/users/bob/invite"] = (200, link)
    assert postern("admin", "users", "invite", "bob").out.splitlines()[0] == "https://b/invite/x"


def test_a_scim_token_needs_a_yes_and_stands_alone_on_stdout(
    postern: Postern, alice: Session, broker: BrokerDouble
) -> None:
    answer = {"token": "ptn_scim_x", "made_at": iso(0), "url": "http://broker/scim/v2"}
    broker.answers["POST /api/v1/admin/connectors/okta/token"] = (200, answer)
    assert postern_process("admin", "scim-token", "okta").code == 2
    assert broker.asked == []
    ran = postern("admin", "scim-token", "okta", "--yes")
    assert (ran.code, ran.out) == (0, "ptn_scim_x\n")
    assert "http://broker/scim/v2" in ran.err


def test_enroll_prints_the_script_alone_to_stdout(
    postern: Postern, alice: Session, broker: BrokerDouble, tmp_path: Path
) -> None:
    answer = {"script": "#!/bin/sh\necho hello\n", "expires_at": iso(2e9)}
    broker.answers["POST /api/v1/admin/servers/db-1/enroll"] = (200, answer)
    ran = postern("admin", "servers", "enroll", "db-1", "--host-key", str(broker.directory / "host_ca.pub"))
    assert ran.out == "#!/bin/sh\necho hello\n"
    assert "a secret that works once" in ran.err
    assert broker.asked[0].body == {"host_key": broker.host_ca}
    assert postern("admin", "servers", "enroll", "db-1", "--host-key", str(broker.directory / "host_ca")).code == 2


def test_sessions_and_events_are_filtered_by_the_broker(postern: Postern, alice: Session, broker: BrokerDouble) -> None:
    session = {"id": "S1", "user": "bob", "resource": "db-1", "login": "root", "protocol": "ssh", "started_at": iso(0)}
    event = {
        "at": iso(0),
        "type": "ssh.session.started",
        "actor": {"kind": "user", "id": "1", "name": "bob"},
        "resource": {"kind": "server", "id": "2", "name": "db-1"},
        "decision": "permit",
        "reasons": ["role-allows"],
        "address": "10.0.0.1",
    }
    broker.answers["GET /api/v1/admin/sessions"] = (200, {"items": [session], "next": None})
    broker.answers["GET /api/v1/admin/events"] = (200, {"items": [event], "next": "more"})
    assert "S1 bob  root@db-1 ssh" in postern("admin", "sessions", "ls", "--user", "bob").out
    assert broker.asked[-1].query == {"user": "bob", "active": "true", "limit": "100"}
    ran = postern("admin", "events", "--actor", "bob", "--since", "1970-01-01T00:00:00Z", "--limit", "1")
    assert "1970-01-01 00:00:00 UTC ssh.session.started bob   db-1     permit   role-allows 10.0.0.1" in ran.out
    assert broker.asked[-1].query == {"actor": "bob", "since": "1970-01-01T00:00:00+00:00", "limit": "1"}
    assert len(broker.asked_for("GET /api/v1/admin/events")) == 1
    assert postern("admin", "events", "--since", "yesterday").code == 2


def test_points_in_time() -> None:
    assert output.point_in_time("1h", now=3600) == "1970-01-01T00:00:00+00:00"
    assert output.point_in_time("2026-01-31T12:00:00+02:00") == "2026-01-31T10:00:00+00:00"
    assert output.point_in_time("") == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (3661, "1h1m"), (86400, "1d"), (90061, "1d1h"), (28740, "7h59m")],
)
def test_lengths_of_time_in_two_units(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text
