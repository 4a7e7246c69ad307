"""What the documents of connectors say once checked: `oidc`, `ldap` and `scim`.

Secrets are write-only: a document that is read back holds `kept:FINGERPRINT` in their place, and one that says so
leaves the secret as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from broker.policy.claims import ClaimMapping

KEPT = "kept:"
NO_MAPPING = ClaimMapping()


@dataclass(frozen=True, slots=True)
class Creation:
    """Whose account is made when they first come: members of these groups (as mapped), or of these mail domains.

    Both empty: everybody whom the provider lets in. A domain counts only if the provider says the address is verified.
    """

    groups: tuple[str, ...] = ()
    email_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProviderFactor:
    """What in an ID token counts as a second factor given there: any of these `amr` values, or one of these `acr`."""

    amr: tuple[str, ...] = ()
    acr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OidcSpec:
    """An OpenID Provider. `creation` None: only people who are linked already come in. `second_factor` None: ours is
    asked. `ca` is PEM; empty: the system's authorities. `acr_values` are asked of the provider. `endpoint_hosts` are
    the hosts (`HOST` or `HOST:PORT`) beside the issuer's own where the provider's endpoints may be.
    """

    kind: ClassVar[str] = "oidc"

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    display: str = ""
    description: str = ""
    enabled: bool = True
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    subject_claim: Literal["sub", "oid"] = "sub"
    acr_values: tuple[str, ...] = ()
    ca: str = field(default="", repr=False)
    mapping: ClaimMapping = NO_MAPPING
    creation: Creation | None = None
    second_factor: ProviderFactor | None = None
    logout: bool = True
    endpoint_hosts: tuple[str, ...] = ()


IdentityAttribute = Literal["externalId", "userName", "id"]
DirectorySchema = Literal["openldap", "active-directory"]
Follow = Literal["auto", "syncrepl", "poll"]


@dataclass(frozen=True, slots=True)
class LdapSpec:
    """A directory. Filters hold `{name}` where the typed name goes; `disabled_filter` matches whoever may not come.

    `urls` are `ldaps://…`, or `ldap://…` with `start_tls` (without it only to loopback). `nested` also counts groups in
    groups. `follow` says how changes are noticed: `syncrepl` at once (RFC 4533), `poll` every minute, `auto` tries.
    """

    kind: ClassVar[str] = "ldap"

    name: str
    urls: tuple[str, ...]
    bind_dn: str = ""
    bind_password: str = field(default="", repr=False)
    display: str = ""
    description: str = ""
    enabled: bool = True
    schema: DirectorySchema = "openldap"
    start_tls: bool = False
    ca: str = field(default="", repr=False)
    user_base: str = ""
    user_filter: str = ""
    uuid_attribute: str = ""
    username_attribute: str = ""
    disabled_filter: str = ""
    group_base: str = ""
    group_filter: str = ""
    group_name_attribute: str = "cn"
    nested: bool = True
    mapping: ClaimMapping = NO_MAPPING
    creation: Creation | None = None
    follow: Follow = "auto"
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class ScimSpec:
    """A client that provisions users and groups over SCIM 2.0.

    `identities_of` names an `oidc` connector whose subjects are the clients' `identity_attribute`, so that who was
    provisioned can sign in there. `groups` are patterns of the group names it may keep; empty: all it makes itself.
    """

    kind: ClassVar[str] = "scim"

    name: str
    display: str = ""
    description: str = ""
    enabled: bool = True
    identities_of: str = ""
    identity_attribute: IdentityAttribute = "externalId"
    groups: tuple[str, ...] = ()


ConnectorSpec = OidcSpec | LdapSpec | ScimSpec
