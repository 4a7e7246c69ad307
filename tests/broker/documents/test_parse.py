"""Documents: every kind there and back, and every mistake told with its line and a hint."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from broker.documents import (
    BUILTIN_ROLES,
    AppSpec,
    BindingSpec,
    RoleSpec,
    ServerSpec,
    UserSpec,
    parse_mapping,
    parse_text,
    to_document,
)
from broker.errors import Invalid
from broker.policy import Attempt, Context, Resource, compile_role, decide
from tests.broker.policy.cast import ALICE, NOW

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "policy").glob("*.yaml"))

FULL = """
kind: role
version: v7
metadata: {name: dba, description: "runs the\\ndatabases", labels: {owner: data}}
spec:
  options:
    max_session_ttl: 1h30m
    require_session_mfa: yes
    mfa_verification_interval: 15m
    pin_source_ip: false
    forward_agent: true
    ssh_port_forwarding: {local: {enabled: true}, remote: {enabled: false}}
    ssh_file_copy: false
    permit_x11_forwarding: false
    pty: true
  allow:
    logins: ['{{internal.logins}}', '{{email.local(external.email)}}', postgres]
    node_labels: {env: [prod, 'stage-*'], region: '^eu-.*$'}
    app_labels: {'*': '*'}
    paths: ['/', '/api/*']
    methods: [GET, POST]
    rules: [{resources: [session, role_binding], verbs: [list, read]}]
    conditions: ['in_net(source.ip, "10.0.0.0/8")', 'mfa.age < 300']
  deny:
    logins: ['*']
    server_labels: {tier: secret}
---
kind: role_binding
spec: {role: dba, group: ops, expires: 2027-01-01T00:00:00+01:00, reason: on call}
---
kind: user
metadata: {name: alice}
spec: {full_name: Alice Ü. Example, email: alice@example.com, groups: [ops], traits: {team: [red, blue]}}
---
kind: group
metadata: {name: ops, description: operations}
---
kind: app
metadata: {name: grafana, labels: {env: prod}}
spec:
  uri: https://grafana.internal:3000/
  public_addr: dashboards
  public_paths: [/health, '/public/*']
  headers: {set: {X-WEBAUTH-USER: proxy}, remove: [X-Debug]}
  host: public
  tls: {server_name: grafana.internal}
  max_body: 100MiB
  allow_encoded_slashes: true
---
kind: node
metadata: {name: db-1, labels: {env: prod}}
spec: {addr: '[::1]:22', hostname: db-1.internal}
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        parse_text(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_every_kind_survives_being_stored() -> None:
    for spec in parse_text(FULL):
        document = to_document(spec)
        assert parse_mapping(spec.kind, document) == spec
        assert to_document(parse_mapping(spec.kind, document)) == document


def test_the_values_are_what_was_written() -> None:
    role, binding, user, _, app, server = parse_text(FULL)
    assert isinstance(role, RoleSpec)
    assert role.options.max_session_ttl == 5400
    assert role.options.require_session_mfa == "yes"
    assert (role.options.forward_local, role.options.forward_remote) == (True, False)
    assert role.allow.server_labels == {"env": ("prod", "stage-*"), "region": ("^eu-.*$",)}
    assert role.allow.rules[0].resources == ("session", "binding")
    assert isinstance(binding, BindingSpec)
    assert binding.name == "dba:group:ops"
    assert binding.expires == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert isinstance(user, UserSpec)
    assert user.traits == {"team": ("red", "blue")}
    assert isinstance(app, AppSpec)
    assert (app.uri, app.max_body, app.tls.verify) == ("https://grafana.internal:3000", 100 * 1024 * 1024, True)
    assert isinstance(server, ServerSpec)
    assert (server.host, server.port) == ("::1", 22)


def app(spec: str) -> str:
    return f"kind: app\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"


def role(spec: str) -> str:
    return f"kind: role\nmetadata: {{name: a}}\nspec: {{{spec}}}\n"


URI = "uri: 'http://127.0.0.1:1'"

REFUSED = [
    # R15: unknown keys, with the nearest right word
    (role("alow: {}"), "unknown key 'alow' in spec (did you mean 'allow'?)"),
    (role("allow: {login: [root]}"), "unknown key 'login' in spec.allow (did you mean 'logins'?)"),
    (role("options: {max_sesion_ttl: 8h}"), "did you mean 'max_session_ttl'?"),
    ("kind: rol\nmetadata: {name: a}", "kind is unknown: 'rol' (did you mean 'role'?)"),
    ("metadata: {name: a}", "kind is missing"),
    ("kind: role\nmetadta: {name: a}", "did you mean 'metadata'?"),
    (role("conditions: ['true']"), "conditions belong under spec.allow or spec.deny"),
    ("kind: user\nmetadata: {name: a, labels: {a: b}}", "unknown key 'labels' in metadata"),
    # L16-like names
    *((f"kind: user\nmetadata: {{name: {name}}}", "is not a name") for name in (
        "Alice", "_ab", "-a", "'a b'", '"a\\n"', "'a@corp.com@evil'", "'ａlice'", "aLıce", "'\u212aate'", "alice.",
        "''", "'" + "a" * 64 + "'", '"alice\\0"', "'../x'", "a:b",
    )),
    # what YAML makes of words and numbers
    ("kind: server\nmetadata: {name: a, labels: {env: no}}\nspec: {addr: 'h:1'}", 'put the word in quotes: "no"'),
    ("kind: server\nmetadata: {name: a, labels: {v: 1.10}}\nspec: {addr: 'h:1'}", "a string, not the number 1.1"),
    (role("allow: {logins: [1]}"), "must be a string, not the number 1"),
    # a key without a value could be read as no limit
    (role("allow: {app_labels: {'*': '*'}, paths: }"), "spec.allow.paths has no value"),
    (role("allow: {app_labels: {'*': '*'}, paths: []}"), "spec.allow.paths is empty"),
    (role("allow: {conditions: []}"), "spec.allow.conditions is empty"),
    (role("options: {max_session_ttl: ''}"), "is not a duration"),
    ("kind: role_binding\nspec: {role: a, user: b, expires: ''}", "is not a time with a zone"),
    ("kind: role_binding\nspec: {role: a, user: b, expires: }", "has no value"),
    # roles
    (role("allow: {logins: ['*']}"), "would allow every login"),
    *((role(f"allow: {{logins: [{login}]}}"), "is not a login") for login in (
        "'a,b'", "-oX", "'a b'", "'ü'", "'a@b'", "''", "'" + "a" * 33 + "'",
    )),
    (role("allow: {logins: ['{{external.a}}{{external.b}}']}"), "one {{…}} expression"),
    (role("allow: {logins: ['{{external.a']}"), "one {{…}} expression"),
    (role("allow: {logins: ['{{user.spec}}']}"), "do not understand {{user.spec}}"),
    (role("allow: {server_labels: {'*': prod}}"), "has the key '*', which stands alone"),
    (role("allow: {server_labels: {'*': '*', env: prod}}"), "has the key '*', which stands alone"),
    (role("allow: {server_labels: {env: '^(a+)+$'}}"), "a repeated group holds another repetition"),
    (role("allow: {server_labels: {env: '^($'}}"), "the regular expression is wrong"),
    (role("allow: {server_labels: {env: '^{{external.a}}$'}}"), "a template in a regular expression"),
    (role("allow: {server_labels: {env: a}, node_labels: {env: b}}"), "is another name of server_labels"),
    (role("allow: {paths: [admin]}"), "a path begins with /"),
    (role("allow: {paths: ['/a/../b']}"), "written decoded"),
    (role("allow: {methods: [TRACE]}"), "is not a known method"),
    (role("allow: {methods: [get]}"), "is not a known method"),
    (role("allow: {rules: [{resources: [users], verbs: [list]}]}"), "is not a kind: 'users'"),
    (role("allow: {rules: [{resources: [user], verbs: [drop]}]}"), "is not a verb: 'drop'"),
    (role("allow: {rules: [{resources: [user]}]}"), "spec.allow.rules[0].verbs is missing"),
    (role("options: {require_session_mfa: hardware_key}"), "must be no, yes or phishing-resistant"),
    (role("options: {forward_agent: 'yes'}"), "must be true or false, not a string"),
    (role("options: {port_forwarding: true, ssh_port_forwarding: {local: {enabled: true}}}"), "says the same"),
    *((role(f"options: {{max_session_ttl: {ttl}}}"), "spec.options.max_session_ttl") for ttl in (
        "0s", "-1h", "8", "'8h; rm'", "99999999999h", "9999d", "NaN", "1.5h", "8H",
    )),
    # conditions
    (role("allow: {conditions: ['usr.name == \"a\"']}"), "unknown variable 'usr', did you mean 'user'"),
    (role("allow: {conditions: ['user.nam == \"a\"']}"), "unknown field of user 'nam', did you mean 'name'"),
    (role("allow: {conditions: ['innet(source.ip, \"10.0.0.0/8\")']}"), "unknown function 'innet', did"),
    (role("allow: {conditions: ['in_net(source.ip, \"10.0.0.1/8\")']}"), "is not a network"),
    (role("allow: {conditions: ['hours(\"8\", \"18:00\", \"UTC\")']}"), "is not a time of day"),
    (role("allow: {conditions: ['hours(\"08:00\", \"18:00\", \"Mars/Base\")']}"), "is not a time zone"),
    (role("allow: {conditions: ['a &&']}"), "does not parse"),
    (role(f"allow: {{conditions: ['{'(' * 500}']}}"), "does not parse"),
    (role(f"allow: {{conditions: ['{'true && ' * 400}true']}}"), "longer than 2048"),
    # apps (X10)
    *((app(f"uri: '{uri}'"), "spec.uri") for uri in (
        "javascript:alert(1)", "ftp://a", "//a", "http:a", "http://", "http://u:p@h", "http://h/path", "http://h?q",
        "http://h:0", "http://h:99999", "http://h:", "http://h ", "http://h\\x", "http://ü", "HTTP://h", "http://a_b",
        "http://h#x", "unix:///x", "http://1.2.3.4.5", "http://0x7f.1:80000",
    )),
    *((app(f"{URI}, headers: {{set: {{{name}: x}}}}"), "spec.headers.set has the key") for name in (
        "X-Forwarded-User", "x-forwarded-for", "X-Postern-Assertion", "Host", "Cookie", "Connection", "Content-Length",
        "Transfer-Encoding", "Authorization", "'A b'", "'A:'", "A_B", "'X-Ü'", '"X\\nY"', "Upgrade", "''",
    )),
    (app(f'{URI}, headers: {{set: {{X-A: "a\\r\\nX-B: c"}}}}'), "must be printable ASCII"),
    (app(f"{URI}, headers: {{set: {{X-A: 'ü'}}}}"), "must be printable ASCII"),
    (app(f"{URI}, headers: {{set: {{X-A: a}}, remove: [x-a]}}"), "name x-a more than once"),
    (app(f"{URI}, host: 'a b'"), "is not a host name"),
    (app(f"{URI}, public_addr: '*.example.com'"), "is not a host name"),
    (app(f"{URI}, public_addr: Grafana"), "is not a host name"),
    (app(f"{URI}, public_paths: ['/a?b']"), "written decoded"),
    (app(f"{URI}, max_body: 0"), "is not a size"),
    (app(f"{URI}, max_body: 10mb"), "is not a size"),
    (app(f"{URI}, tls: {{verify: false}}"), "means nothing for an http upstream"),
    (app("uri: 'https://h', tls: {verify: false, server_name: h}"), "so ca and server_name mean nothing"),
    (app("uri: 'https://h', tls: {ca: 'not a pem'}"), "is not a certificate in PEM"),
    ("kind: app\nmetadata: {name: a}", "spec.uri is missing"),
    # servers
    *((f"kind: server\nmetadata: {{name: a}}\nspec: {{addr: '{addr}'}}", "spec.addr") for addr in (
        "h", "h:0", "h:65536", "h:22:22", "::1:22", "[::1]", "-oProxyCommand=x:22", "h :22", "h:2 2", "$(id):22", ":22",
    )),
    # bindings, users
    ("kind: role_binding\nspec: {role: a}", "must name one of user, group or machine"),
    ("kind: role_binding\nspec: {role: a, user: b, group: c}", "must name one of user, group or machine"),
    ("kind: role_binding\nspec: {role: a, user: b, expires: 2027-01-01}", "is not a time with a zone"),
    ("kind: role_binding\nspec: {role: a, user: b, expires: 2027-02-30T00:00:00Z}", "is not a time with a zone"),
    ("kind: role_binding\nspec: {role: a, user: b, expires: 2027-01-01T00:00:00}", "is not a time with a zone"),
    ("kind: role_binding\nmetadata: {name: 'a:user:c'}\nspec: {role: a, user: b}", "must be a:user:b"),
    ("kind: user\nmetadata: {name: a}\nspec: {email: 'a@corp.com@evil'}", "is not an e-mail address"),
    ("kind: user\nmetadata: {name: a}\nspec: {email: 'a@b\\n'}", "is not an e-mail address"),
    ('kind: user\nmetadata: {name: a}\nspec: {full_name: "a\\u202eb"}', "control characters"),
    ("kind: user\nmetadata: {name: a}\nspec: {traits: {team: ['']}}", "is empty"),
    ("kind: group\nmetadata: {name: a}\n---\nkind: group\nmetadata: {name: a}", "is written twice, first in f.yaml:1"),
]  # fmt: skip


@pytest.mark.parametrize("text, words", REFUSED)
def test_a_mistake_is_refused_in_words(text: str, words: str) -> None:
    """R12 R15 L16 C02 C06 X10: at the door, so that what is stored means what was written."""
    problems = problems_of(text)
    assert any(words in problem for problem in problems), problems
    assert all(problem.startswith("f.yaml:") for problem in problems), problems


def test_all_problems_are_told_at_once_with_their_lines() -> None:
    """R15."""
    problems = problems_of(
        "kind: role\nmetadata:\n  name: A\nspec:\n  alow: {}\n  deny:\n    logins: ['a b']\n---\nkind: x"
    )
    assert [problem.split(": ")[0] for problem in problems] == ["f.yaml:3", "f.yaml:7", "f.yaml:5", "f.yaml:9"]


def test_a_stored_document_that_was_damaged_is_refused() -> None:
    """R15: at boot; whoever loads it grants nothing."""
    document = to_document(parse_text(FULL)[0])
    document["spec"]["allow"]["logins"] = None
    with pytest.raises(Invalid):
        parse_mapping("role", document)
    with pytest.raises(Invalid):
        parse_mapping("app", to_document(parse_text(FULL)[0]))


@pytest.mark.parametrize("spec", BUILTIN_ROLES, ids=lambda spec: spec.name)
def test_the_roles_that_come_along_open_nothing(spec: RoleSpec) -> None:
    held = [compile_role(spec, {})]
    for kind, action in (("server", "ssh.session"), ("app", "app.request")):
        resource = Resource(kind, "x", "x", {"env": "prod"})
        attempt = Attempt(ALICE, action, resource, Context(NOW), login="root", method="GET", path="/")
        assert not decide(attempt, held).permitted


def test_an_administrator_is_not_an_auditor() -> None:
    may = {spec.name: compile_role(spec, {}).allow.actions for spec in BUILTIN_ROLES}
    assert not [action for action in may["administrator"] if action.startswith("event.")]
    assert may["auditor"] == {
        f"{kind}.{verb}" for kind in ("event", "session", "connector") for verb in ("list", "read")
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_right(path: Path) -> None:
    for spec in parse_text(path.read_text(), path.name):
        assert parse_mapping(spec.kind, to_document(spec)) == spec
