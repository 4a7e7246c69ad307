"""The kinds of documents, each with how it is read, written and removed. What is not in the table cannot be kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from accounts.names import name_key
from broker.audit.origin import Origin
from broker.documents import BindingSpec, LdapSpec, OidcSpec, ScimSpec, Spec, UserSpec
from broker.errors import NotFound
from broker.services import apps, bindings, connectors, groups, roles, servers, users


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `admin` is its name in actions (`ADMIN.create`); the functions decide nothing."""

    name: str
    admin: str
    documents: Callable[[Collection[str] | None], dict[str, dict[str, Any]]]
    write: Callable[[Origin, Any], None]
    remove: Callable[[Origin, str], None]


def _connectors(kind: str) -> Kind:
    return Kind(
        kind,
        CONNECTOR,
        lambda names: connectors.connector_documents(kind, names),
        connectors.write_connector,
        lambda origin, name: connectors.remove_connector(origin, kind, name),
    )


CONNECTOR = "connector"
# In the order in which they are written; they are removed the other way round.
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("group", "group", groups.group_documents, groups.write_group, groups.remove_group),
        Kind("role", "role", roles.role_documents, roles.write_role, roles.remove_role),
        Kind("user", "user", users.user_documents, users.write_user, users.remove_user),
        Kind("app", "app", apps.app_documents, apps.write_app, apps.remove_app),
        Kind("server", "server", servers.server_documents, servers.write_server, servers.remove_server),
        Kind("role_binding", "binding", bindings.binding_documents, bindings.write_binding, bindings.remove_binding),
        _connectors("oidc"),
        _connectors("ldap"),
        _connectors("scim"),
    )
}
ORDER = {name: place for place, name in enumerate(KINDS)}


def kind_named(name: str) -> Kind:
    """The kind of that name. Raises NotFound."""
    kind = KINDS.get(name)
    if kind is None:
        raise NotFound(f"there is no kind {name[:40]!r}", "there are " + ", ".join(KINDS))
    return kind


def key_of(spec: Spec) -> str:
    """What a thing is known by among those of its kind."""
    return bindings.binding_name(spec) if isinstance(spec, BindingSpec) else spec.name


def as_kept(spec: Spec) -> Spec:
    """A document as it will be read back: a binding loses its own name, groups and trait names come sorted,
    a secret is its fingerprint.
    """
    if isinstance(spec, BindingSpec):
        return replace(
            spec, name=f"{spec.role}:{spec.subject_kind}:{name_key(spec.subject)}", subject=name_key(spec.subject)
        )
    if isinstance(spec, UserSpec):
        return replace(spec, groups=tuple(sorted(map(name_key, spec.groups))), traits=dict(sorted(spec.traits.items())))
    if isinstance(spec, OidcSpec | LdapSpec | ScimSpec):
        return connectors.without_secret(spec)
    return spec
