"""What a provider says is data: it names groups only by the rules, and whatever it is, mapping it never fails."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.names import group_name, is_name
from broker.policy.claims import (
    MAX_VALUES,
    ClaimMapping,
    GroupRule,
    Outcome,
    flatten,
    map_claims,
)

LONG = "x" * 10_240


def mapped(raw: dict[str, Any], *rules: GroupRule, **more: Any) -> Outcome:
    return map_claims(ClaimMapping(groups=rules, **more), flatten(raw), group_name)


def groups_of(raw: dict[str, Any], claim: str, value: str, *groups: str) -> tuple[str, ...]:
    return mapped(raw, GroupRule(claim, value, groups)).groups


# --- what is absent gives nothing (R13) -------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["*", "a*", "^.*$", "^$", "", "**", "admins"])
@pytest.mark.parametrize(
    "raw",
    [{}, {"other": ["admins"]}, {"groups": None}, {"groups": []}, {"groups": ""}, {"groups": [""]}, {"groups": {}},
     {"groups": [None]}, {"groups": [[]]}, {"groups": [["admins"]]}, {"groups": [{"name": "admins"}]},
     {"groups": ["admins\0"]}, {"Groups": ["admins"]}, {"groups ": ["admins"]}, {"groups": ["\ud800"]}],
)  # fmt: skip
def test_a_claim_that_is_absent_or_says_nothing_never_means_all(raw: dict[str, Any], value: str) -> None:
    """R13: no pattern, however wide, finds something in nothing."""
    outcome = mapped(raw, GroupRule("groups", value, ("admins", "{{external.groups}}", "{{external.none}}")))
    assert outcome.groups == ()
    assert outcome.rules[0].why


@pytest.mark.parametrize(
    "value", ["*", "**", "{{external.groups}}", "{{", "}}", "a,b", "a b", "^.*$", LONG, "../x", "a\nb"]
)
def test_a_value_is_neither_a_pattern_nor_a_list_nor_a_template(value: str) -> None:
    """R13: `*`, braces, commas and 10 KiB from a provider name no group, and fill a trait as text or not at all."""
    raw = {"groups": [value], "team": ["red"]}
    outcome = mapped(
        raw, GroupRule("groups", "*", ("{{external.groups}}",)), traits={"logins": ("{{external.groups}}",)}
    )
    assert outcome.groups == ()
    kept = () if value in (LONG, "a\nb") else (value,)
    assert outcome.traits.get("logins", ()) == kept


def test_a_value_is_not_a_pattern_for_other_rules() -> None:
    assert groups_of({"groups": ["*"]}, "groups", "admins", "admins") == ()
    assert groups_of({"groups": ["^.*$"]}, "groups", "admins", "admins") == ()


@pytest.mark.parametrize(
    ("raw", "value", "given"),
    [
        (["devs"], "devs", True),
        (["Devs"], "devs", False),
        (["devs "], "devs", False),
        (["devs,admins"], "admins", False),
        ("devs", "devs", True),
        ("devs admins", "admins", False),
        (["dev-a", "ops"], "dev-*", True),
        (["xdev-a"], "dev-*", False),
        (["dev-a"], "^dev-[ab]$", True),
        (["dev-ab"], "^dev-[ab]$", False),
        (["dev-a\n"], "^dev-a$", False),
        (True, "true", True),
        (True, "1", False),
        (False, "*", True),  # a value that is there: whoever asks for any gets any
        (7, "7", True),
        (7.5, "7.5", True),
        (float("nan"), "*", False),
        (float("inf"), "*", False),
        (10**30, "*", False),
        ([10**5000], "*", False),
        (b"devs", "*", False),
        ({"devs": True}, "*", False),
        ([["devs"]], "*", False),
        (["x" * 257], "*", False),
        (["x" * 256], "*", True),
        (("devs",), "devs", True),
        ([1, None, "devs", {}, []], "devs", True),
    ],
)
def test_which_values_match(raw: Any, value: str, given: bool) -> None:
    assert bool(groups_of({"groups": raw}, "groups", value, "devs")) is given


def test_what_lies_deeper_is_known_by_its_path() -> None:
    raw = {"realm_access": {"roles": ["admin"]}, "a": {"b": {"c": {"d": {"e": "x", "f": {"g": "deep"}}}}}}
    assert flatten(raw) == {"realm_access.roles": ("admin",), "a.b.c.d.e": ("x",)}
    assert groups_of(raw, "realm_access.roles", "admin", '{{external["realm_access.roles"]}}') == ("admin",)
    assert groups_of(raw, "roles", "*", "admin") == ()


@pytest.mark.parametrize(
    "raw",
    [
        {"realm_access.roles": ["admin"], "realm_access": {"roles": ["user"]}},
        {"realm_access": {"roles": ["user"]}, "realm_access.roles": ["admin"]},
        {"realm_access": {"roles": ["admin"]}, "realm_access.roles": []},
    ],
)
def test_a_path_that_two_things_go_by_has_no_value(raw: dict[str, Any]) -> None:
    """Whoever may name a claim freely must not speak for another one."""
    assert flatten(raw)["realm_access.roles"] == ()
    assert groups_of(raw, "realm_access.roles", "*", "admins") == ()


def test_a_rule_sees_only_the_values_that_it_matched() -> None:
    raw = {"groups": ["app-devs", "admins"]}
    assert groups_of(raw, "groups", "app-*", "{{external.groups}}") == ("app-devs",)
    assert groups_of(raw, "groups", "app-*", '{{regexp.replace(external.groups, "^app-(.*)$", "$1")}}') == ("devs",)


def test_a_value_that_another_rule_matched_stays_with_it() -> None:
    raw = {"groups": ["app-devs", "admins"]}
    rules = (GroupRule("groups", "app-*", ("{{external.groups}}",)), GroupRule("groups", "none", ("ops",)))
    assert mapped(raw, *rules).groups == ("app-devs",)


@pytest.mark.parametrize(
    "text", ["ａdmins", "adm\u0131ns", " admins", "admins ", "admins\u200b", "\u212aim", "аdmins", "ADMINS\u00ad"]
)
def test_what_only_looks_like_a_group_is_not_that_group(text: str) -> None:
    """L16: whoever can make a group over there must not come into another one here by a look-alike of its name."""
    assert group_name(text) == ""
    assert groups_of({"groups": [text]}, "groups", "*", "{{external.groups}}") == ()


def test_only_the_case_of_a_name_is_folded() -> None:
    assert groups_of({"groups": ["Engineers", "ENGINEERS"]}, "groups", "*", "{{external.groups}}") == ("engineers",)


def test_the_outcome_tells_what_each_rule_gave_and_why_not() -> None:
    outcome = mapped(
        {"groups": ["devs", "Two Words"], "email": "a@example.com", "off": []},
        GroupRule("groups", "*", ("staff", "{{external.groups}}")),
        GroupRule("groups", "admins", ("admins",)),
        GroupRule("department", "*", ("x",)),
        GroupRule("off", "*", ("x",)),
        GroupRule("groups", "devs", ("{{external.none}}",)),
        traits={"logins": ("{{email.local(external.email)}}", "ubuntu"), "team": ("{{external.team}}",)},
    )
    assert [(rule.gave, rule.why) for rule in outcome.rules] == [
        (("staff", "devs"), "no name of a group: 'Two Words'"),
        ((), "no value matches"),
        ((), "the claim is absent"),
        ((), "the claim has no value that counts"),
        ((), "the template gave nothing"),
        (("a", "ubuntu"), ""),
        ((), "the claims give nothing to fill it with"),
    ]
    assert outcome.rules[0].rule == "claim groups = *: staff, {{external.groups}}"
    assert outcome.groups == ("devs", "staff")
    assert outcome.traits == {"logins": ("a", "ubuntu")}


def test_more_values_than_are_read_are_told_of() -> None:
    raw = {"groups": [None, *(f"g{number}" for number in range(5 * MAX_VALUES))]}
    outcome = mapped(raw, GroupRule("groups", "*", ("{{external.groups}}",)), GroupRule("groups", "g4999", ("late",)))
    assert len(outcome.groups) == MAX_VALUES
    assert outcome.rules[0].why == f"only the first {MAX_VALUES} values were looked at"
    assert outcome.rules[1].why == f"no value matches; only the first {MAX_VALUES} values were looked at"


def test_particulars_are_the_first_of_what_the_templates_give() -> None:
    raw = {"preferred_username": ["alice", "al"], "name": "A" * 250, "email": "a@" + "b" * 300 + ".com", "n": ""}
    outcome = mapped(
        raw, username="{{external.preferred_username}}", full_name="{{external.name}}", email="{{external.email}}"
    )
    assert (outcome.username, outcome.full_name, outcome.email) == ("alice", "A" * 200, "")
    assert mapped(raw, username="{{external.n}}").username == ""
    assert mapped({}, username="x-{{external.preferred_username}}").username == ""


# --- whatever is sent -------------------------------------------------------------------------------------------------

NAMES = ("groups", "roles", "email", "realm_access", "a.b", "groups.x", "")
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**4200),
    st.floats(),
    st.text(max_size=40),
    st.sampled_from(["admins", "Admins", "*", "**", "{{external.groups}}", "{{", "a,b", "^.*$", LONG, "\0", "\ud800"]),
    st.binary(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=20,
)
claims = st.dictionaries(st.one_of(st.sampled_from(NAMES), st.text(max_size=5)), values, max_size=6)
texts = st.sampled_from(
    ["staff", "{{external.groups}}", "x-{{external.roles}}", "{{email.local(external.email)}}", "{{external.none}}",
     '{{regexp.replace(external.groups, "^(.*)s$", "$1")}}', '{{external["realm_access.roles"]}}']
)  # fmt: skip
rules = st.builds(
    GroupRule,
    claim=st.sampled_from(("groups", "roles", "email", "realm_access.roles", "a.b", "absent")),
    value=st.sampled_from(("*", "admins", "a*", "*s", "^.+$", "^(admins|ops)$")),
    groups=st.lists(texts, min_size=1, max_size=3).map(tuple),
)
mappings = st.builds(
    ClaimMapping,
    username=texts,
    full_name=texts,
    email=texts,
    groups=st.lists(rules, max_size=4).map(tuple),
    traits=st.dictionaries(st.sampled_from(("logins", "team")), st.lists(texts, min_size=1, max_size=3).map(tuple)),
)


@settings(max_examples=200, deadline=None)
@given(claims, mappings)
def test_whatever_a_provider_sends_is_mapped_to_names_and_text_that_can_be_kept(
    raw: dict[str, Any], mapping: ClaimMapping
) -> None:
    """R13, X09: it never fails, every group is a name, nothing is empty or endless, and every database takes it."""
    flat = flatten(raw)
    outcome = map_claims(mapping, flat, group_name)
    assert all(is_name(name) for name in outcome.groups)
    assert all(texts and all(texts) for texts in outcome.traits.values())
    longest = 256 + 64
    assert all(len(text) <= longest for texts in outcome.traits.values() for text in texts)
    assert len(outcome.full_name) <= 200
    assert len(outcome.email) <= 254
    json.dumps(asdict(outcome), allow_nan=False).encode()
    values = [outcome.username, outcome.full_name, outcome.email, outcome.groups, dict(outcome.traits)]
    kept = json.dumps(values, ensure_ascii=False)
    assert "\\u0000" not in kept
    kept.encode()  # half a surrogate pair would not be text
    assert map_claims(mapping, flat, group_name) == outcome


@settings(max_examples=150, deadline=None)
@given(claims, mappings)
def test_every_group_stands_behind_a_rule_whose_claim_has_a_value(raw: dict[str, Any], mapping: ClaimMapping) -> None:
    """Default deny: no group without a rule that gave it, and no rule gives what its claim does not call for."""
    flat = flatten(raw)
    outcome = map_claims(mapping, flat, group_name)
    told = outcome.rules[: len(mapping.groups)]
    assert set(outcome.groups) == {name for rule in told for name in rule.gave}
    for rule, fared in zip(mapping.groups, told, strict=True):
        if not flat.get(rule.claim):
            assert fared.gave == ()
        if not fared.gave:
            assert fared.why


@settings(max_examples=150, deadline=None)
@given(claims, mappings, st.sampled_from(("groups", "roles", "email")))
def test_taking_a_claim_away_never_gives_a_group(raw: dict[str, Any], mapping: ClaimMapping, gone: str) -> None:
    """R13: less said is never more given."""
    flat = flatten(raw)
    less = {name: texts for name, texts in flat.items() if name != gone}
    before = map_claims(mapping, flat, group_name)
    after = map_claims(mapping, less, group_name)
    assert set(after.groups) <= set(before.groups)
    for name, given_texts in after.traits.items():
        assert set(given_texts) <= set(before.traits[name])


@settings(max_examples=100, deadline=None)
@given(claims, claims, mappings)
def test_claims_no_rule_speaks_of_change_nothing(
    raw: dict[str, Any], more: dict[str, Any], mapping: ClaimMapping
) -> None:
    flat = flatten(raw)
    foreign = {f"other-{name}": texts for name, texts in flatten(more).items()}
    assert map_claims(mapping, {**flat, **foreign}, group_name) == map_claims(mapping, flat, group_name)
