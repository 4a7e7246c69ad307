"""Connectors: the list, each one's page, making, trying, switching and deleting them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts import connectors as kept
from accounts import cookies
from accounts.models import Connector
from accounts.oidc.errors import ProviderError
from accounts.requests import SignedInRequest
from accounts.services.oidc_sign_in import Begun, begin_test
from accounts.views.oidc import going
from broker.console import connector_forms, lists
from broker.console.changing import attempt, confirm_page, confirmed, counted, done, ends
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.links import page_url
from broker.console.queries import connectors, events
from broker.console.queries.identities import shown_claims
from broker.console.views.documents import edit_document, new_document, remove_document
from broker.console.yaml_text import yaml_of
from broker.documents import parse_mapping
from broker.errors import Conflict, Unavailable
from broker.services.connector_switch import set_enabled
from broker.services.connector_trial import may_try, try_name
from broker.services.documents import save_document
from broker.services.scim_tokens import make_token


@console_page("connector.list")
def connector_list(request: SignedInRequest) -> HttpResponse:
    """All connectors, with how the other side is."""
    query = lists.asked(request, "q", "kind")
    sort = lists.sorting(request, connectors.COLUMNS, "name")
    page = lists.page_of(request, lists.order_by(connectors.found(query["q"], query["kind"]), connectors.COLUMNS, sort))
    context = {
        "page": page,
        "rows": connectors.listed(list(page)),
        "query": query,
        "sort": sort,
        "kinds": connectors.KINDS,
        "may_create": desk(request).may("connector.create"),
        "filtered": any(query.values()),
    }
    return render(request, "console/connectors/list.html", context)


@console_page("connector.read")
def connector_page(request: SignedInRequest, name: str) -> HttpResponse:
    """One connector: what it is set to, what the other side must know, how it is, who came."""
    row, at = kept.named(name), desk(request)
    spec = connectors.spec_or_none(row)
    context: dict[str, Any] = {
        "row": row,
        "kind": connectors.KIND_WORDS[row.kind],
        "spec": spec,
        "summary": connectors.summary(spec) if spec else (),
        "mapping": getattr(spec, "mapping", None),
        "health": connectors.health_of(row),
        "addresses": connectors.addresses(row),
        "yaml": yaml_of(row.document),
        "people": row.identities.values("user").distinct().count(),
        "latest": connectors.latest(row) if at.may("user.list") else None,
        "events": events.about_resource(row.pk) if at.may("event.list") else None,
        "may_update": at.may("connector.update", row.name),
        "may_delete": at.may("connector.delete", row.name),
    }
    return render(request, "console/connectors/page.html", context)


@console_page("connector.create", WRITE)
def connector_new(request: SignedInRequest) -> HttpResponse:
    """Connect a provider, a directory or a provisioning client: by a form, or by a document."""
    asked = request.POST if request.method == "POST" else request.GET
    kind = asked.get("kind", "")
    if kind not in connectors.KIND_WORDS:
        return render(request, "console/connectors/choose.html")
    if "yaml" in request.GET:
        return new_document(request, kind, connector_forms.TEMPLATES[kind])
    more = {"providers": _providers()} if kind == Connector.Kind.SCIM else {}
    form = connector_forms.FORMS[kind](request.POST or None, **more)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]

        def create() -> None:
            if Connector.objects.filter(name=name).exists():
                raise Conflict(f"there is a connector {name} already", "choose another name")
            save_document(request.origin, desk(request).subject, parse_mapping(kind, form.as_document()))

        if attempt(form, create, connector_forms.FIELDS):
            messages.success(request, f"{name} was added; what it needs next is on this page")
            return redirect(page_url(kind, name))
    context = {"form": form, "kind": kind, "kind_words": connectors.KIND_WORDS[kind]}
    return render(request, "console/connectors/new.html", context)


def _providers() -> list[str]:
    return list(Connector.objects.filter(kind=Connector.Kind.OIDC).values_list("name", flat=True))


@console_page("connector.update", WRITE)
def connector_edit(request: SignedInRequest, name: str) -> HttpResponse:
    """Edit a connector's document."""
    return edit_document(request, kept.named(name).kind, name)


@console_page("connector.update", ("POST",))
def connector_enable(request: SignedInRequest, name: str) -> HttpResponse:
    """Let people in by it."""
    row = kept.named(name)
    try:
        set_enabled(request.origin, desk(request).subject, row.kind, row.name, True)
    except Unavailable as error:
        messages.error(request, f"{error.message}: {error.hint}")
    else:
        messages.success(request, f"{row.name} is on")
    return redirect(page_url(row.kind, row.name))


@console_page("connector.update", WRITE)
def connector_disable(request: SignedInRequest, name: str) -> HttpResponse:
    """Let nobody in by it, and end what came by it."""
    row, subject = kept.named(name), desk(request).subject
    if confirmed(request):
        outcome = set_enabled(request.origin, subject, row.kind, row.name, False)
        messages.success(request, done(f"{row.name} is off", outcome.ends_sessions))
        return redirect(page_url(row.kind, row.name))
    cost = set_enabled(request.origin, subject, row.kind, row.name, False, dry_run=True).ends_sessions
    costs = [f"{ends(cost)} that began by it", *_stranded(row)]
    if row.kind == Connector.Kind.SCIM:
        costs = ["its token opens nothing while it is off", "who it disabled stays disabled"]
    return confirm_page(
        request,
        title=f"Switch off {row.name}?",
        label=f"Switch off {row.name}",
        back=page_url(row.kind, row.name),
        costs=costs,
        text="It can be switched on again; groups and identities stay as they are.",
        arm=3 if cost else 0,
    )


@console_page("connector.delete", WRITE)
def connector_delete(request: SignedInRequest, name: str) -> HttpResponse:
    """Remove a connector, the identities it knows and the groups it put people in."""
    row = kept.named(name)
    people = row.identities.values("user").distinct().count()
    costs = [
        f"{counted(people, 'user is', 'users are')} no longer known by it",
        f"takes {counted(connectors.memberships(row), 'group membership')} that it gave",
        *_stranded(row),
    ]
    if row.kind == Connector.Kind.SCIM:
        costs.append("its token opens nothing any more")
    return remove_document(request, row.kind, row.name, costs, "Users stay. Its secret is gone for good.")


def _stranded(row: Connector) -> list[str]:
    number = 0 if row.kind == Connector.Kind.SCIM else connectors.stranded(row)
    return [f"{counted(number, 'user has', 'users have')} no other way in"] if number else []


@console_page("connector.update", ("POST",))
def connector_test(request: SignedInRequest, name: str) -> HttpResponse:
    """Try an OpenID Provider: off to it and back, to a page that says what would have happened."""
    may_try(request.origin, desk(request).subject, name)
    row = kept.named(name)
    try:
        browser = cookies.token(request, cookies.PROVIDER)
        url, browser = begin_test(request.origin, row, request.login_session, browser)
        return going(request, Begun(url, browser, row.name))
    except ProviderError as error:
        messages.error(request, f"{error.message}{': ' if error.hint else ''}{error.hint}")
        return redirect(page_url(row.kind, row.name))


@console_page("connector.update", WRITE)
def connector_try(request: SignedInRequest, name: str) -> HttpResponse:
    """Ask a directory for a name: whom it finds, their groups, what the mapping makes of it."""
    may_try(request.origin, desk(request).subject, name)
    row = kept.named(name)
    form = connector_forms.NameToTryForm(request.POST or None)
    context: dict[str, Any] = {"row": row, "form": form}
    if request.method == "POST" and form.is_valid():
        trial = try_name(request.origin, desk(request).subject, row.name, form.cleaned_data["typed"])
        context["trial"] = trial
        if trial.arrival:
            context["claims"] = sorted(shown_claims(trial.arrival.claims).items())
    return render(request, "console/connectors/try.html", context)


@console_page("connector.update", WRITE)
def connector_token(request: SignedInRequest, name: str) -> HttpResponse:
    """A token for a provisioning client, shown once."""
    may_try(request.origin, desk(request).subject, name)
    row = kept.named(name)
    if not confirmed(request):
        replaces = row.token_hash is not None
        return confirm_page(
            request,
            title=f"Make a token for {row.name}?",
            label="Make a token",
            back=page_url(row.kind, row.name),
            costs=["the token it has now opens nothing any more"] if replaces else [],
            text="It is shown once. Whoever has it can make, change and disable users.",
        )
    made = make_token(request.origin, desk(request).subject, row.name)
    context = {"row": row, "token": made.token, "address": connectors.addresses(row)[0][1]}
    return render(request, "console/connectors/token.html", context)
