"""The documents of connectors: there and back, what they may not say, and that no problem repeats a secret."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from broker.documents import LdapSpec, OidcSpec, ScimSpec, Spec, parse_mapping, parse_text, to_document
from broker.documents.connector_spec import Creation, ProviderFactor
from broker.documents.ldap_filter import filter_with_hole, plain_filter
from broker.errors import Invalid
from broker.policy.claims import ClaimMapping, GroupRule

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
CANARY = "canary-7f3a-not-for-anybody"

OIDC = """
kind: oidc
metadata: {name: corp, description: "where the staff\\nis"}
spec:
  issuer: https://id.example.com/realms/corp
  client_id: postern
  client_secret: kept:0123456789ab
  display: Corp account
  enabled: false
  scopes: [openid, email, groups]
  subject_claim: oid
  acr_values: ['urn:example:gold']
  endpoint_hosts: [login.example.com, 'keys.example.com:8443']
  logout: no
  username: '{{email.local(external.email)}}'
  full_name: '{{external["realm.name"]}}'
  email: ''
  groups:
    - {claim: realm_access.roles, value: 'dev-*', groups: [engineers, '{{external["realm_access.roles"]}}']}
    - {claim: email, value: '^.*@example\\.com$', groups: [staff]}
  traits: {logins: ['{{external.preferred_username}}', ubuntu]}
  create_users: {groups: [engineers], email_domains: [example.com]}
  second_factor: {amr: [mfa, hwk], acr: ['urn:example:gold']}
"""
LDAP = """
kind: ldap
metadata: {name: ad}
spec:
  urls: ['ldaps://dc1.example.com', 'ldap://dc2.example.com:3268']
  start_tls: true
  schema: active-directory
  bind_dn: cn=postern,ou=services,dc=example,dc=com
  bind_password: kept:0123456789ab
  user_search:
    base: ou=people,dc=example,dc=com
    filter: (&(objectClass=user)(|(sAMAccountName={name})(mail={name})))
    id_attribute: mS-DS-ConsistencyGuid
    name_attribute: mailNickname
    disabled_filter: ''
  group_search: {base: 'ou=groups,dc=example,dc=com', filter: (objectClass=group), name_attribute: name, nested: false}
  groups: [{claim: groups, value: Admins, groups: [admins]}]
  traits: {logins: ['{{external.mailNickname}}']}
  create_users: true
  follow: poll
  timeout: 10s
"""
SCIM = """
kind: scim
metadata: {name: okta, description: the people office}
spec:
  display: People office
  enabled: false
  identities_of: corp
  identity_attribute: userName
  groups: ['eng-*', '^ops$']
"""
SMALL_OIDC: dict[str, Any] = {"issuer": "https://id.example.com", "client_id": "postern"}
SMALL_LDAP: dict[str, Any] = {"urls": ["ldaps://ldap.example.com"], "user_search": {"base": "dc=example,dc=com"}}


def read(kind: str, **spec: Any) -> Spec:
    small = {"oidc": SMALL_OIDC, "ldap": SMALL_LDAP, "scim": {}}[kind]
    body = {key: value for key, value in {**small, **spec}.items() if value is not ...}
    return parse_mapping(kind, {"kind": kind, "metadata": {"name": "corp"}, "spec": body})


def oidc(**spec: Any) -> OidcSpec:
    found = read("oidc", **spec)
    assert isinstance(found, OidcSpec)
    return found


def ldap(**spec: Any) -> LdapSpec:
    found = read("ldap", **spec)
    assert isinstance(found, LdapSpec)
    return found


def words_of(kind: str, **spec: Any) -> str:
    """Everything that is said about a wrong document."""
    with pytest.raises(Invalid) as caught:
        read(kind, **spec)
    return "\n".join([caught.value.message, caught.value.hint, *map(str, caught.value.problems)])


@pytest.mark.parametrize("text", [OIDC, LDAP, SCIM])
def test_a_full_document_comes_back_as_it_was_written(text: str) -> None:
    (spec,) = parse_text(text)
    document = to_document(spec)
    assert parse_mapping(spec.kind, document) == spec
    assert to_document(parse_mapping(spec.kind, document)) == document


def test_every_key_of_a_provider_is_read() -> None:
    (spec,) = parse_text(OIDC)
    assert isinstance(spec, OidcSpec)
    assert spec == OidcSpec(
        name="corp",
        issuer="https://id.example.com/realms/corp",
        client_id="postern",
        client_secret="kept:0123456789ab",
        display="Corp account",
        description="where the staff\nis",
        enabled=False,
        scopes=("openid", "email", "groups"),
        subject_claim="oid",
        acr_values=("urn:example:gold",),
        mapping=ClaimMapping(
            username="{{email.local(external.email)}}",
            full_name='{{external["realm.name"]}}',
            email="",
            groups=(
                GroupRule("realm_access.roles", "dev-*", ("engineers", '{{external["realm_access.roles"]}}')),
                GroupRule("email", r"^.*@example\.com$", ("staff",)),
            ),
            traits={"logins": ("{{external.preferred_username}}", "ubuntu")},
        ),
        creation=Creation(("engineers",), ("example.com",)),
        second_factor=ProviderFactor(("mfa", "hwk"), ("urn:example:gold",)),
        logout=False,
        endpoint_hosts=("login.example.com", "keys.example.com:8443"),
    )


def test_a_small_provider_has_good_defaults_and_lets_nobody_new_in() -> None:
    spec = oidc()
    assert spec.creation is None
    assert spec.second_factor is None
    assert spec.mapping.groups == ()
    assert spec.mapping.username == "{{external.preferred_username}}"
    assert spec.scopes == ("openid", "email", "profile")
    assert spec.enabled
    assert to_document(spec)["spec"] == SMALL_OIDC


def test_a_directory_takes_what_its_schema_is_like() -> None:
    plain, windows = ldap(), ldap(schema="active-directory")
    assert (plain.uuid_attribute, plain.username_attribute) == ("entryUUID", "uid")
    assert plain.mapping.username == "{{external.uid}}"
    assert plain.user_filter == "(&(objectClass=inetOrgPerson)(|(uid={name})(mail={name})))"
    assert (windows.uuid_attribute, windows.username_attribute) == ("objectGUID", "sAMAccountName")
    assert windows.disabled_filter == "(userAccountControl:1.2.840.113556.1.4.803:=2)"
    assert windows.mapping.username == "{{external.sAMAccountName}}"
    assert windows.mapping.full_name == "{{external.displayName}}"
    assert to_document(windows)["spec"] == {**SMALL_LDAP, "schema": "active-directory"}
    assert (plain.timeout, plain.follow, plain.nested, plain.creation) == (5.0, "auto", True, None)


def test_every_key_of_a_directory_is_read() -> None:
    (spec,) = parse_text(LDAP)
    assert isinstance(spec, LdapSpec)
    assert spec.urls == ("ldaps://dc1.example.com", "ldap://dc2.example.com:3268")
    assert (spec.user_base, spec.group_base) == ("ou=people,dc=example,dc=com", "ou=groups,dc=example,dc=com")
    assert (spec.uuid_attribute, spec.username_attribute) == ("mS-DS-ConsistencyGuid", "mailNickname")
    assert (spec.disabled_filter, spec.group_name_attribute, spec.nested) == ("", "name", False)
    assert (spec.start_tls, spec.follow, spec.timeout) == (True, "poll", 10.0)
    assert spec.creation == Creation()
    assert spec.mapping.username == "{{external.mailNickname}}"


def test_every_key_of_a_provisioning_client_is_read() -> None:
    (spec,) = parse_text(SCIM)
    assert spec == ScimSpec("okta", "People office", "the people office", False, "corp", "userName", ("eng-*", "^ops$"))


@pytest.mark.parametrize(
    "issuer",
    ["https://id.example.com", "https://id.example.com/", "https://id.example.com:8443/a/b", "http://127.0.0.1:9000",
     "http://[::1]:9000/x", "http://localhost:3000", "http://idp.postern.localhost:3000"],
)  # fmt: skip
def test_an_issuer_is_kept_letter_by_letter(issuer: str) -> None:
    assert oidc(issuer=issuer).issuer == issuer


@pytest.mark.parametrize(
    "issuer",
    ["", "id.example.com", "http://id.example.com", "http://localhost.example.com", "http://10.0.0.1", "ftp://x.y",
     "https://id.example.com?tenant=1", "https://id.example.com/#a", "https://me:pw@id.example.com", "HTTPS://id.x",
     "https://id.example.com/ b", "https://id.example.com\n", "https://", "https://id.example.com:0", "https://a:",
     "https://id.example.com:99999", "https://ex%61mple.com", "https://пример.example", "javascript:alert(1)",
     "https://id.example.com/.well-known/openid-configuration", "https://" + "a" * 600 + ".com"],
)  # fmt: skip
def test_what_is_no_issuer_is_refused(issuer: str) -> None:
    """An issuer is the half of an identity: https, exact, and never with a query, a fragment or a user in it."""
    assert "spec.issuer" in words_of("oidc", issuer=issuer)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"scopes": ["email"]}, "must hold openid"),
        ({"scopes": ["openid email"]}, "not one word"),
        ({"client_id": ...}, "spec.client_id is missing"),
        ({"client_id": ""}, "is empty"),
        ({"subject_claim": "email"}, "must be sub"),
        ({"username": "bob"}, "must hold a template"),
        ({"username": ""}, "is empty"),
        ({"username": "{{internal.logins}}"}, "write external"),
        ({"username": "{{external.a}}{{external.b}}"}, "one {{…}} expression"),
        ({"email": "{{external.a b}}"}, "do not understand"),
        ({"groups": [{"claim": "groups"}]}, "spec.groups[0].groups is missing"),
        ({"groups": [{"claim": "groups", "groups": []}]}, "names no group"),
        ({"groups": [{"groups": ["a"]}]}, "spec.groups[0].claim is missing"),
        ({"groups": [{"claim": "", "groups": ["a"]}]}, "is empty"),
        ({"groups": [{"claim": "g", "value": "", "groups": ["a"]}]}, "is empty"),
        ({"groups": [{"claim": "g", "value": "^(a+)+$", "groups": ["a"]}]}, "for ever"),
        ({"groups": [{"claim": "g", "value": "^[$", "groups": ["a"]}]}, "regular expression is wrong"),
        ({"groups": [{"claim": "g", "groups": ["Big Group"]}]}, "not a name of a group"),
        ({"groups": [{"claim": "g", "groups": ["{{"]}]}, "expression"),
        ({"groups": [{"claim": "g", "roles": ["a"], "groups": ["a"]}]}, "unknown key 'roles'"),
        ({"groups": {"claim": "g"}}, "must be a list"),
        ({"traits": {"1x": ["a"]}}, "not a trait name"),
        ({"traits": {"logins": [""]}}, "is empty"),
        ({"traits": {"logins": ["{{external.a"]}}, "expression"),
        ({"create_users": {}}, "names neither"),
        ({"create_users": {"groups": []}}, "names neither"),
        ({"create_users": {"groups": ["*"]}}, "not a name of a group"),
        ({"create_users": {"email_domains": ["*"]}}, "not a host name"),
        ({"create_users": {"email_domains": ["@example.com"]}}, "not a host name"),
        ({"create_users": "yes"}, "must be true, false or a mapping"),
        ({"create_users": ["engineers"]}, "must be true, false or a mapping"),
        ({"create_users": {"group": ["engineers"]}}, "did you mean 'groups'"),
        ({"create_users": None}, "has no value"),
        ({"second_factor": {}}, "names neither"),
        ({"second_factor": {"amr": []}}, "names neither"),
        ({"second_factor": True}, "must be a mapping"),
        ({"ca": "not pem"}, "not a certificate in PEM"),
        ({"ca": "/etc/ssl/ca.pem"}, "not a certificate in PEM"),
        ({"issuer_url": "https://x"}, "did you mean 'issuer'"),
        ({"endpoint_hosts": ["https://x.example.com"]}, "spec.endpoint_hosts"),
        ({"enabled": "yes"}, "must be true or false"),
    ],
)  # fmt: skip
def test_a_wrong_provider_is_told_in_words(spec: dict[str, Any], said: str) -> None:
    assert said in words_of("oidc", **spec)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"urls": ...}, "spec.urls is missing"),
        ({"urls": []}, "names no server"),
        ({"urls": ["ldap://ldap.example.com"]}, "passwords in clear"),
        ({"urls": ["ldap://localhost.example.com"]}, "passwords in clear"),
        ({"urls": ["ldaps://a.example.com", "ldap://b.example.com"]}, "ldap://b.example.com would carry"),
        ({"urls": ["https://ldap.example.com"]}, "must begin with ldaps://"),
        ({"urls": ["ldapi://%2fvar%2frun%2fldapi"]}, "must begin with ldaps://"),
        ({"urls": ["ldaps://ldap.example.com/dc=example?uid"]}, "nothing else"),
        ({"urls": ["ldaps://me@ldap.example.com"]}, "nothing else"),
        ({"urls": ["ldaps://a b"]}, "not a host name"),
        ({"urls": ["ldaps://a.example.com ldap://evil.example.com"]}, "spec.urls"),
        ({"start_tls": True}, "means nothing with ldaps"),
        ({"schema": "edirectory"}, "must be one of openldap, active-directory"),
        ({"bind_dn": "cn=postern,dc=example"}, "bind_password is missing"),
        ({"bind_dn": "cn=postern,dc=example", "bind_password": ""}, "is empty"),
        ({"bind_password": "x"}, "bind_dn is missing"),
        ({"bind_dn": "postern", "bind_password": "x"}, "not a distinguished name"),
        ({"user_search": {}}, "spec.user_search.base is missing"),
        ({"user_search": {"base": "people"}}, "not a distinguished name"),
        ({"user_search": {"base": "dc=x", "filter": "(uid=alice)"}}, "must hold {name}"),
        ({"user_search": {"base": "dc=x", "filter": "(uid={user})"}}, "is not a filter"),
        ({"user_search": {"base": "dc=x", "filter": "(uid={{external.name}})"}}, "is not a filter"),
        ({"user_search": {"base": "dc=x", "filter": "(uid={name}"}}, "a ) is missing"),
        ({"user_search": {"base": "dc=x", "filter": "(uid={name}))"}}, "something follows"),
        ({"user_search": {"base": "dc=x", "filter": "uid={name}"}}, "a ( is missing"),
        ({"user_search": {"base": "dc=x", "disabled_filter": "(uid={name})"}}, "must not hold {name}"),
        ({"user_search": {"base": "dc=x", "id_attribute": "a=b"}}, "not the name of an attribute"),
        ({"group_search": {"filter": "(cn=*"}}, "a ) is missing"),
        ({"follow": "always"}, "must be one of auto, syncrepl, poll"),
        ({"timeout": "2h"}, "at most 60s"),
        ({"timeout": 5}, "must be a duration"),
        ({"users": {"base": "dc=x"}}, "unknown key 'users'"),
    ],
)  # fmt: skip
def test_a_wrong_directory_is_told_in_words(spec: dict[str, Any], said: str) -> None:
    assert said in words_of("ldap", **spec)


@pytest.mark.parametrize("url", ["ldap://127.0.0.1:3389", "ldap://localhost", "ldap://[::1]:389"])
def test_a_directory_on_this_machine_may_be_asked_without_tls(url: str) -> None:
    assert ldap(urls=[url]).urls == (url,)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"identity_attribute": "userName"}, "means nothing without identities_of"),
        ({"identity_attribute": "email", "identities_of": "corp"}, "must be one of externalId, userName, id"),
        ({"identities_of": "Corp ID"}, "is not a name"),
        ({"groups": []}, "would read as every group"),
        ({"groups": ["^(a+)+$"]}, "for ever"),
        ({"token": "x"}, "unknown key 'token'"),
    ],
)
def test_a_wrong_provisioning_client_is_told_in_words(spec: dict[str, Any], said: str) -> None:
    assert said in words_of("scim", **spec)


@pytest.mark.parametrize(
    "wrong", [123456789, f" {CANARY}", f"{CANARY}\n", f"kept:{CANARY}", [CANARY], CANARY * 300, True, "kept:"]
)
@pytest.mark.parametrize(("kind", "key"), [("oidc", "client_secret"), ("ldap", "bind_password")])
def test_a_problem_with_a_secret_never_repeats_it(kind: str, key: str, wrong: Any) -> None:
    """R06: what is said about a wrong secret goes to terminals and logs."""
    spec = {"bind_dn": "cn=postern,dc=example"} if kind == "ldap" else {}
    said = words_of(kind, **spec, **{key: wrong})
    assert f"spec.{key}" in said
    assert CANARY not in said
    assert "123456789" not in said


def test_a_spec_shown_by_mistake_holds_no_secret() -> None:
    """R06: a dataclass ends in a traceback or a log line sooner or later."""
    assert CANARY not in repr(oidc(client_secret=CANARY))
    assert CANARY not in repr(ldap(bind_dn="cn=postern,dc=example", bind_password=CANARY))


@pytest.mark.parametrize(
    "text",
    ["(uid={name})", "(|(uid={name})(mail={name}))", "(&(a=b)(!(c=d))(uid=*{name}*))", r"(cn=a\28{name}\29)",
     "(sn:dn:2.4.6.8.10:={name})", "(:caseExactMatch:={name})", "(2.5.4.3={name})", "(cn;lang-de>={name})",
     "(a~={name})"],
)  # fmt: skip
def test_filters_with_a_hole_are_read(text: str) -> None:
    assert filter_with_hole(text) == ""


@pytest.mark.parametrize(
    "text",
    ["", "()", "(a)", "(a=b", "a=b", "(&)", "(!(a=b)(c=d))", "(a=b)(c=d)", "(a=b))", "((a=b))", r"(a=\zz)", "(=b)",
     "(a b=c)", "(a={x})", "({name}=x)", "(a=b\0)", "(a=b\n)", "(" * 5000, "(!" * 5000 + "(a=b)" + ")" * 5000],
)  # fmt: skip
def test_what_is_no_filter_is_refused(text: str) -> None:
    """Depth is bounded: a filter of brackets alone must not take the process along."""
    assert plain_filter(text)
    assert filter_with_hole(text)


DOCS = Path(__file__).parents[3] / "docs"
EXAMPLES = [
    pytest.param(dedent(block), id=f"{page.name}-{number}")
    for page in sorted(DOCS.rglob("*.md"))
    for number, block in enumerate(re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", page.read_text(), re.MULTILINE))
    if re.search(r"^ {4}kind: (?:oidc|ldap|scim)$", block, re.MULTILINE)
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_what_the_guides_show_is_a_document(text: str) -> None:
    """From the first `kind:` on; what is left to the reader (…) is filled in."""
    start = re.search(r"^kind:", text, re.MULTILINE)
    assert start is not None
    assert parse_text(text[start.start() :].replace("    …\n", "    MIIB\n"))


def test_there_are_guides() -> None:
    assert len(EXAMPLES) >= 3
