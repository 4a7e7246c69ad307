"""Apps: the list, each app's page, and its document."""

from __future__ import annotations

from itertools import islice

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render

from accounts.requests import SignedInRequest
from broker.console import forms, lists
from broker.console.changing import attempt
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.links import page_url
from broker.console.queries import access, events, resources
from broker.console.views.documents import edit_document, remove_document
from broker.console.yaml_text import yaml_of
from broker.documents import parse_mapping
from broker.errors import Conflict
from broker.models import App
from broker.services.documents import save_document

SHOWN = 30
"""How many of those who can open something are named on its page."""


@console_page("app.list")
def app_list(request: SignedInRequest) -> HttpResponse:
    """All apps."""
    query = lists.asked(request, "q")
    sort = lists.sorting(request, resources.APP_COLUMNS, "name")
    page = lists.page_of(request, lists.order_by(resources.apps(query["q"]), resources.APP_COLUMNS, sort))
    rows = [{"app": app, **resources.summary_of(app.document)} for app in page]
    context = {"page": page, "rows": rows, "query": query, "sort": sort, "may_create": desk(request).may("app.create")}
    return render(request, "console/apps/list.html", context)


@console_page("app.read")
def app_page(request: SignedInRequest, name: str) -> HttpResponse:
    """One app: where it is, who can open it, how it was used."""
    app, at = resources.app_named(name), desk(request)
    may_see_who = at.may_all("user.list", "role.list", "binding.list")
    openers = resources.openers_of_app(at.live, app.name, at.context.at) if may_see_who else ()
    context = {
        "app": app,
        **resources.summary_of(app.document),
        "uri": app.document.get("spec", {}).get("uri", ""),
        "url": settings.POSTERN.app_url(app.host),
        "yaml": yaml_of(app.document),
        "is_served": app.name in {one.name for one in at.live.apps.values()},
        "openers": list(islice(openers, SHOWN)) if may_see_who else None,
        "more_openers": next(iter(openers), None) is not None,
        "lock": access.standing_lock("app", app.name) if at.may("lock.list") else None,
        "uses": access.latest_of_resource(app.pk) if at.may("session.list") else None,
        "events": events.about_resource(app.pk) if at.may("event.list") else None,
        "may_update": at.may("app.update", app.name),
        "may_delete": at.may("app.delete", app.name),
        "may_lock": at.may("lock.create"),
    }
    return render(request, "console/apps/page.html", context)


@console_page("app.create", WRITE)
def app_new(request: SignedInRequest) -> HttpResponse:
    """Put an app behind Postern."""
    form = forms.AppForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]

        def create() -> None:
            if App.objects.filter(name=name).exists():
                raise Conflict(f"there is an app {name} already", "choose another name")
            save_document(request.origin, desk(request).subject, parse_mapping("app", form.as_document()))

        if attempt(form, create, forms.RESOURCE_FIELDS):
            messages.success(request, f"{name} was added; whoever has a role that fits its labels can open it")
            return redirect(page_url("app", name))
    return render(request, "console/apps/new.html", {"form": form})


@console_page("app.update", WRITE)
def app_edit(request: SignedInRequest, name: str) -> HttpResponse:
    """Edit an app's document."""
    return edit_document(request, "app", name)


@console_page("app.delete", WRITE)
def app_delete(request: SignedInRequest, name: str) -> HttpResponse:
    """Take an app away from behind Postern."""
    return remove_document(request, "app", name, ["its address stops answering"])
