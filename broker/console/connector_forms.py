"""The forms that connectors begin with. The rest is in their documents, which check all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from django import forms

from broker.console.form_fields import NAME, PlainForm, WordsField
from broker.documents.connector_spec import KEPT
from broker.documents.ldap import PRESETS, SCHEMAS

_RULE = re.compile(r"(?P<claim>\S.*?)(?:\s+=\s+(?P<value>\S.*?))?\s*:\s+(?P<groups>\S.*)")
_CODE = {"class": "mono", "spellcheck": "false", "autocapitalize": "none", "wrap": "off"}
RULES_HELP = (
    "one a line, such as “groups = dev-*: engineers”: who has a value like dev-* in the claim groups comes into the "
    "group engineers; without “= …” any value counts, and {{external.groups}} stands for the values themselves"
)


class RulesField(forms.CharField):
    """Lines of `claim = value: group, group`, as rules of a mapping."""

    widget = forms.Textarea(attrs={"rows": 4, **_CODE})

    def to_python(self, value: Any) -> Any:
        """The rules as a document has them."""
        rules = []
        for number, line in enumerate(str(value or "").splitlines(), start=1):
            if not line.strip():
                continue
            match = _RULE.fullmatch(line.strip())
            if match is None:
                raise forms.ValidationError(f"line {number} is not written claim = value: group, group")
            groups = [name.strip() for name in match["groups"].split(",") if name.strip()]
            said = {"value": match["value"]} if match["value"] else {}
            rules.append({"claim": match["claim"], **said, "groups": groups})
        return rules

    def validate(self, value: Any) -> None:
        """None are fine."""

    def run_validators(self, value: Any) -> None:
        """There are none for a list."""


CREATE = (
    ("", "nobody: they are linked with a user first"),
    ("some", "who is in one of these groups, or has an address at one of these domains"),
    ("all", "everybody whom the other side lets in"),
)


class _ConnectorForm(PlainForm):
    """What all of them begin with."""

    kind = ""
    name = forms.CharField(
        label="Name",
        max_length=63,
        help_text="small letters, digits and hyphens; it is part of addresses and cannot be changed later",
        widget=forms.TextInput(attrs=NAME),
    )
    display = forms.CharField(
        label="Shown as", max_length=100, required=False, help_text="what people read; the name if left empty"
    )

    def spec(self) -> dict[str, Any]:
        """The `spec` of the document that the form says, without what was left empty."""
        raise NotImplementedError

    def as_document(self) -> dict[str, Any]:
        """The document."""
        body = {key: value for key, value in self.spec().items() if value not in ("", [], None)}
        return {"kind": self.kind, "metadata": {"name": self.cleaned_data["name"]}, "spec": body}


class _MappingForm(_ConnectorForm):
    """What is mapped, and whose account is made."""

    groups = RulesField(label="Groups", required=False, max_length=20_000, help_text=RULES_HELP)
    create = forms.ChoiceField(label="Who gets an account here when they first come", choices=CREATE, required=False)
    create_groups = WordsField(
        label="… who is in these groups",
        required=False,
        max_length=2000,
        help_text="groups here, as the rules above give them",
        widget=forms.TextInput(attrs=NAME),
    )
    create_domains = WordsField(
        label="… whose address is at these domains",
        required=False,
        max_length=2000,
        help_text="such as example.com; only addresses that the other side says it verified count",
        widget=forms.TextInput(attrs=NAME),
    )
    enabled = forms.BooleanField(
        label="Let people in by it at once",
        required=False,
        help_text="leave it off to try it first; it is switched on with one click",
    )

    def mapping(self) -> dict[str, Any]:
        """The part of the `spec` that this form is about."""
        said = self.cleaned_data
        named = {"groups": said["create_groups"], "email_domains": said["create_domains"]}
        some = {key: value for key, value in named.items() if value}
        creation: Any = {"": None, "all": True}.get(said["create"], some)
        return {
            "groups": said["groups"],
            "create_users": creation,
            "enabled": None if said["enabled"] else False,
        }


def _secret(label: str, help_text: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=4096,
        required=False,
        strip=False,
        help_text=help_text,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )


def _certificate(help_text: str) -> forms.CharField:
    return forms.CharField(
        label="Certificate authority",
        max_length=65_536,
        required=False,
        help_text=help_text,
        widget=forms.Textarea(attrs={"rows": 3, **_CODE}),
    )


class OidcForm(_MappingForm):
    """An OpenID Provider."""

    kind = "oidc"
    issuer = forms.CharField(
        label="Issuer",
        max_length=500,
        help_text="the provider's address, exactly as it writes it, such as https://id.example.com/realms/staff",
        widget=forms.TextInput(attrs={**NAME, "inputmode": "url"}),
    )
    client_id = forms.CharField(
        label="Client id", max_length=500, help_text="what we are called there", widget=forms.TextInput(attrs=NAME)
    )
    client_secret = _secret("Client secret", "kept sealed and never shown again; empty for a public client")
    username = forms.CharField(
        label="User name",
        max_length=500,
        required=False,
        initial="{{external.preferred_username}}",
        help_text="of new people; {{email.local(external.email)}} takes what is before the @",
        widget=forms.TextInput(attrs=NAME),
    )
    factor_amr = WordsField(
        label="Their second factor counts if amr has",
        required=False,
        max_length=500,
        help_text="such as mfa, otp or hwk (RFC 8176); empty: ours is asked for",
        widget=forms.TextInput(attrs=NAME),
    )
    ca = _certificate("in PEM, if the provider's certificate is from one of your own; empty: the system's")
    field_order = [
        "name", "display", "issuer", "client_id", "client_secret", "username", "groups", "create", "create_groups",
        "create_domains", "factor_amr", "ca", "enabled",
    ]  # fmt: skip

    def spec(self) -> dict[str, Any]:
        """The `spec` of the provider."""
        said = self.cleaned_data
        plain = {key: said[key] for key in ("issuer", "client_id", "client_secret", "display", "username", "ca")}
        factor = {"amr": said["factor_amr"]} if said["factor_amr"] else None
        return {**plain, **self.mapping(), "second_factor": factor}


class LdapForm(_MappingForm):
    """A directory."""

    kind = "ldap"
    schema = forms.ChoiceField(
        label="Kind of directory",
        choices=[(SCHEMAS[0], "OpenLDAP and the like"), (SCHEMAS[1], "Active Directory")],
        help_text="decides which attributes and filters are usual; all of them can be set in the document",
    )
    urls = WordsField(
        label="Servers",
        max_length=2000,
        help_text="such as ldaps://ldap.example.com; several are tried in turn",
        widget=forms.TextInput(attrs={**NAME, "inputmode": "url"}),
    )
    start_tls = forms.BooleanField(
        label="Use StartTLS", required=False, help_text="for servers written ldap://; ldaps:// is TLS from the start"
    )
    bind_dn = forms.CharField(
        label="Ask as",
        max_length=1000,
        required=False,
        help_text="the DN of an account that may search people and groups and no more; empty: anonymous",
        widget=forms.TextInput(attrs=NAME),
    )
    bind_password = _secret("Its password", "kept sealed and never shown again")
    user_base = forms.CharField(
        label="People are under",
        max_length=1000,
        help_text="such as ou=people,dc=example,dc=com",
        widget=forms.TextInput(attrs=NAME),
    )
    group_base = forms.CharField(
        label="Groups are under",
        max_length=1000,
        required=False,
        help_text="such as ou=groups,dc=example,dc=com; empty: people's memberOf is read",
        widget=forms.TextInput(attrs=NAME),
    )
    ca = _certificate("in PEM, if the servers' certificate is from one of your own; empty: the system's")
    field_order = [
        "name", "display", "schema", "urls", "start_tls", "bind_dn", "bind_password", "user_base", "group_base",
        "groups", "create", "create_groups", "create_domains", "ca", "enabled",
    ]  # fmt: skip

    def spec(self) -> dict[str, Any]:
        """The `spec` of the directory."""
        said = self.cleaned_data
        plain = {key: said[key] for key in ("urls", "bind_dn", "bind_password", "display", "ca")}
        groups = {"base": said["group_base"]} if said["group_base"] else None
        return {
            **plain,
            "schema": said["schema"],
            "start_tls": said["start_tls"] or None,
            "user_search": {"base": said["user_base"]},
            "group_search": groups,
            **self.mapping(),
        }


class ScimForm(_ConnectorForm):
    """A provisioning client."""

    kind = "scim"
    identities_of = forms.ChoiceField(
        label="Who is provisioned signs in by",
        required=False,
        help_text="the OpenID Provider that knows the same people, so that nobody has to link anything",
    )
    identity_attribute = forms.ChoiceField(
        label="What that provider calls them is in",
        required=False,
        choices=[("", "externalId (usual)"), ("userName", "userName"), ("id", "id")],
    )
    groups = WordsField(
        label="Groups it may keep",
        required=False,
        max_length=2000,
        help_text="names and patterns such as eng-*; empty: those that it makes itself",
        widget=forms.TextInput(attrs=NAME),
    )

    def __init__(self, *args: Any, providers: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "nothing: it only provisions"), *((name, name) for name in providers)]
        cast(forms.ChoiceField, self.fields["identities_of"]).choices = choices

    def spec(self) -> dict[str, Any]:
        """The `spec` of the client."""
        return {key: self.cleaned_data[key] for key in ("display", "identities_of", "identity_attribute", "groups")}


class NameToTryForm(PlainForm):
    """A name as somebody would type it to sign in."""

    typed = forms.CharField(
        label="Name",
        max_length=256,
        help_text="as people type it to sign in: a user name or an address; no password is asked for",
        widget=forms.TextInput(attrs=NAME),
    )


FORMS: Mapping[str, Callable[..., _ConnectorForm]] = {"oidc": OidcForm, "ldap": LdapForm, "scim": ScimForm}
FIELDS = {
    "metadata.name": "name",
    "spec.display": "display",
    "spec.issuer": "issuer",
    "spec.client_id": "client_id",
    "spec.client_secret": "client_secret",
    "spec.username": "username",
    "spec.groups": "groups",
    "spec.create_users.groups": "create_groups",
    "spec.create_users.email_domains": "create_domains",
    "spec.create_users": "create",
    "spec.second_factor": "factor_amr",
    "spec.ca": "ca",
    "spec.schema": "schema",
    "spec.urls": "urls",
    "spec.start_tls": "start_tls",
    "spec.bind_dn": "bind_dn",
    "spec.bind_password": "bind_password",
    "spec.user_search": "user_base",
    "spec.group_search": "group_base",
    "spec.identities_of": "identities_of",
    "spec.identity_attribute": "identity_attribute",
}
TEMPLATES = {
    "oidc": f"""kind: oidc
metadata:
  name: corp
spec:
  issuer: https://id.example.com
  client_id: postern
  client_secret: write-it-here   # kept sealed, read back as {KEPT}…
  display: Corp account
  enabled: false                 # try it first
  groups:
    - {{claim: groups, value: engineers, groups: [engineers]}}
  create_users:
    groups: [engineers]
""",
    "ldap": f"""kind: ldap
metadata:
  name: directory
spec:
  urls: [ldaps://ldap.example.com]
  bind_dn: cn=postern,ou=services,dc=example,dc=com
  bind_password: write-it-here   # kept sealed, read back as {KEPT}…
  enabled: false                 # try it first
  user_search:
    base: ou=people,dc=example,dc=com
    filter: {PRESETS["openldap"].user_filter}
  group_search:
    base: ou=groups,dc=example,dc=com
  groups:
    - {{claim: groups, value: engineers, groups: [engineers]}}
  create_users:
    groups: [engineers]
""",
    "scim": """kind: scim
metadata:
  name: office
spec:
  display: People office
  identities_of: corp
  groups: ['eng-*']
""",
}
