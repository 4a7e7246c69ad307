"""How connectors are kept: rows with a checked document and a sealed secret beside it.

What is here decides nothing and runs in the caller's transaction. A connector can put anybody into any group, so
changing one takes a full administrator (`broker.services.delegation.only_full_administrators`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import QuerySet

from accounts import connectors
from accounts.directory import extra
from accounts.models import Connector, Identity, LoginSession, Membership, ProviderFlow, SignIn, User
from accounts.services import login_sessions
from broker import keystore
from broker.audit.connector_event import ConnectorCreated, ConnectorDeleted, ConnectorUpdated, IdentityUnlinked
from broker.audit.event import Event, GroupMemberRemoved
from broker.audit.log import record
from broker.audit.origin import Origin
from broker.documents import ConnectorSpec, LdapSpec, OidcSpec, ScimSpec, to_document
from broker.documents.connector_spec import KEPT
from broker.documents.secret import is_kept, secret_of, with_secret
from broker.errors import Conflict, Invalid, NotFound, Problem
from broker.services.changes import change_of

_FINGERPRINT_DIGITS = 12
MOVED_HINT = "write the secret itself again: it would go to another place than the one it was given for"


def connector_documents(kind: str, names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """The documents of these connectors of a kind (None: of all), by name. They hold no secret."""
    rows = Connector.objects.filter(kind=kind)
    if names is not None:
        rows = rows.filter(name__in=names)
    return dict(rows.values_list("name", "document"))


def fingerprint(secret: str) -> str:
    """What is shown in a secret's stead: the same for the same secret, and no help in guessing it without our key."""
    key = keystore.ring().derive("connector-secret-fingerprint")
    return KEPT + hmac.new(key, secret.encode(), hashlib.sha256).hexdigest()[:_FINGERPRINT_DIGITS]


def without_secret(spec: ConnectorSpec) -> ConnectorSpec:
    """The document as it is kept and read back: a secret in clear becomes its fingerprint."""
    if isinstance(spec, ScimSpec):
        return spec
    given = secret_of(spec)
    return with_secret(spec, fingerprint(given)) if given and not is_kept(given) else spec


def problem_with_secret(spec: OidcSpec | LdapSpec, kept: ConnectorSpec | None) -> Problem | None:
    """Why a document that says `kept:…` cannot be meant; None if it can, or says no such thing."""
    given = secret_of(spec)
    path = "spec.client_secret" if isinstance(spec, OidcSpec) else "spec.bind_password"
    if not is_kept(given):
        return None
    if kept is None or isinstance(kept, ScimSpec) or not secret_of(kept):
        return Problem(f"{path} says {given}, but no secret is kept", path=path, hint="write the secret itself")
    if secret_of(kept) != given:
        hint = "write it as it is read now, or write the secret itself"
        return Problem(f"{path} says {given}, but another secret is kept", path=path, hint=hint)
    if not _receivers(spec) <= _receivers(kept):
        return Problem(f"{path} says {given}, but its receiver is another now", path=path, hint=MOVED_HINT)
    return None


def _receivers(spec: ConnectorSpec) -> frozenset[str]:
    """Whom a secret is shown to, and as whose."""
    match spec:
        case OidcSpec():
            return frozenset({f"{spec.issuer} {spec.client_id}", *spec.endpoint_hosts})
        case LdapSpec():
            tls = "" if spec.start_tls else "without TLS "
            return frozenset(f"{tls if url.startswith('ldap:') else ''}{url} {spec.bind_dn}" for url in spec.urls)
    return frozenset()


def kept_specs() -> dict[str, ConnectorSpec]:
    """What the documents that are kept say, by name; damaged ones are left out."""
    found = {}
    for row in Connector.objects.all():
        try:
            found[row.name] = connectors.spec_of(row)
        except Invalid:
            continue
    return found


def write_connector(origin: Origin, spec: ConnectorSpec) -> None:
    """Make the connector or bring it to what the document says.

    Raises Conflict, Invalid for a wrong `kept:…`, and Unavailable for a directory without the LDAP library.
    """
    if isinstance(spec, LdapSpec) and spec.enabled:
        extra.require()
    row = Connector.objects.select_for_update().filter(name=spec.name).first()
    if row is not None and row.kind != spec.kind:
        raise Conflict(f"there is a connector {spec.name} of kind {row.kind} already", "choose another name")
    before = _spec_or_none(row)
    if not isinstance(spec, ScimSpec) and (problem := problem_with_secret(spec, before)):
        raise Invalid(problem.message, problem.hint, [problem])
    if isinstance(spec, OidcSpec):
        _refuse_same_issuer(spec)
    document = to_document(without_secret(spec))
    if row is None:
        row = Connector(kind=spec.kind, name=spec.name, document=document, enabled=spec.enabled)
        row.secret = "" if isinstance(spec, ScimSpec) else secret_of(spec)
        row.save(force_insert=True)
        record(origin, ConnectorCreated(**_about(row)))
        return
    _update(origin, row, spec, before, document)


def _refuse_same_issuer(spec: OidcSpec) -> None:
    """An identity is (issuer, subject): at two connectors of one issuer it would be unclear whose it is."""
    others = Connector.objects.filter(kind=spec.kind, document__spec__issuer=spec.issuer).exclude(name=spec.name)
    if other := others.first():
        raise Conflict(f"connector {other.name} has that issuer already", "change that one, or remove it first")


def _update(
    origin: Origin, row: Connector, spec: ConnectorSpec, before: ConnectorSpec | None, document: dict[str, Any]
) -> None:
    change = change_of(spec.kind, spec.name, row.document, document)
    if change is None:
        return
    _refuse_other_namespace(row, before, spec)
    was_enabled, row.enabled, row.document = row.enabled, spec.enabled, document
    fields = ["document", "enabled"]
    if not isinstance(spec, ScimSpec) and not is_kept(secret_of(spec)):
        row.secret = secret_of(spec)
        fields.append("secret")
    if any(field.path.startswith(_OTHER_SIDE) for field in change.fields):
        row.problem, row.failing_since, row.checked_at, row.ok_at = "", None, None, None
        fields += ["problem", "failing_since", "checked_at", "ok_at"]
    row.save(update_fields=fields)
    ended = _end_sessions(row, "connector-disabled") if was_enabled and not row.enabled else []
    changed = tuple(field.path for field in change.fields)
    record(origin, *ended, ConnectorUpdated(**_about(row), changed=changed))


# What, if it is another, makes what is known of the other side's health old news.
_OTHER_SIDE = tuple(
    f"spec.{key}"
    for key in (
        *("issuer", "client_", "endpoint_hosts", "ca", "urls", "start_tls", "bind_", "schema"),
        *("user_search", "group_search", "timeout"),
    )
)


def _refuse_other_namespace(row: Connector, before: ConnectorSpec | None, spec: ConnectorSpec) -> None:
    """A subject means somebody only at the issuer, and under the attribute, that it was read from."""
    if before is None or not row.identities.exists():
        return
    if isinstance(spec, OidcSpec) and isinstance(before, OidcSpec):
        moved = (spec.issuer, spec.subject_claim) != (before.issuer, before.subject_claim)
        word = "issuer or subject_claim"
    elif isinstance(spec, LdapSpec) and isinstance(before, LdapSpec):
        moved, word = spec.uuid_attribute.lower() != before.uuid_attribute.lower(), "user_search.id_attribute"
    else:
        return
    if moved:
        raise Conflict(
            f"people are known by what {row.name} calls them now: with another {word} they would be somebody else",
            "make another connector beside it, or delete this one first",
        )


def remove_connector(origin: Origin, kind: str, name: str) -> None:
    """Remove the connector, its identities and the groups it put people in; users stay. Raises NotFound, Conflict."""
    row = Connector.objects.select_for_update().filter(kind=kind, name=name).first()
    if row is None:
        raise NotFound(f"there is no {kind} {name!r}")
    for other, spec in kept_specs().items():
        if isinstance(spec, ScimSpec) and spec.identities_of == name:
            raise Conflict(f"scim {other} makes identities of {name}", f"first change or delete scim {other}")
    about = _about(row)
    events = [*_end_sessions(row, "connector-deleted"), *_remove_memberships(row), *_unlinked(row.identities.all())]
    User.objects.filter(disabled_by=row.source).update(disabled_by="")  # an administrator's word from now on
    row.delete()
    record(origin, *events, ConnectorDeleted(**about))


def _end_sessions(row: Connector, why: str) -> list[Event]:
    """End the login sessions that came by it, drop those on their way; the events to record."""
    SignIn.objects.filter(via=row.source).delete()
    ProviderFlow.objects.filter(connector=row).delete()
    live = LoginSession.objects.filter(via=row.source, ended_at=None).select_related("user")
    return login_sessions.ended_events(live, why)


def _remove_memberships(row: Connector) -> list[Event]:
    rows = list(Membership.objects.filter(source=row.source).select_related("group", "user"))
    Membership.objects.filter(pk__in=[member.pk for member in rows]).delete()
    return [
        GroupMemberRemoved(
            id=str(member.group_id),
            label=member.group.name,
            user_name=member.user.username,
            also_touches=(f"user:{member.user_id}",),
        )
        for member in rows
    ]


def _unlinked(identities: QuerySet[Identity]) -> Iterable[Event]:
    return [
        IdentityUnlinked(
            id=str(identity.user_id),
            label=identity.user.username,
            connector=identity.connector.name,
            subject=identity.subject,
        )
        for identity in identities.select_related("user", "connector")
    ]


def _spec_or_none(row: Connector | None) -> ConnectorSpec | None:
    try:
        return connectors.spec_of(row) if row else None
    except Invalid:
        return None


def _about(row: Connector) -> dict[str, Any]:
    return {"id": str(row.pk), "label": row.name, "connector_kind": row.kind}
