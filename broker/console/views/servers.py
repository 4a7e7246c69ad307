"""Servers: the list, each server's page, its document, and the script that enrols it."""

from __future__ import annotations

from itertools import islice

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime

from accounts.requests import SignedInRequest
from broker.console import forms, lists
from broker.console.changing import attempt
from broker.console.desk import desk
from broker.console.entry import WRITE, console_page
from broker.console.links import page_url
from broker.console.queries import access, events, resources
from broker.console.views.apps import SHOWN
from broker.console.views.documents import edit_document, remove_document
from broker.console.yaml_text import yaml_of
from broker.documents import parse_mapping
from broker.errors import Conflict, Invalid
from broker.models import Server
from broker.services import enrolment
from broker.services.certificates import SUFFIX
from broker.services.documents import save_document

ENROLLED = (("yes", "enrolled"), ("no", "not enrolled"))


@console_page("server.list")
def server_list(request: SignedInRequest) -> HttpResponse:
    """All servers."""
    query = lists.asked(request, "q", "enrolled")
    sort = lists.sorting(request, resources.SERVER_COLUMNS, "name")
    found = resources.servers(query["q"], query["enrolled"])
    page = lists.page_of(request, lists.order_by(found, resources.SERVER_COLUMNS, sort))
    context = {
        "page": page,
        "rows": [
            {"server": row, "addr": row.document.get("spec", {}).get("addr", ""), **resources.summary_of(row.document)}
            for row in page
        ],
        "query": query,
        "sort": sort,
        "states": ENROLLED,
        "filtered": any(query.values()),
        "may_create": desk(request).may("server.create"),
    }
    return render(request, "console/servers/list.html", context)


@console_page("server.read")
def server_page(request: SignedInRequest, name: str) -> HttpResponse:
    """One server: who can log in, whether it trusts us, how it was used."""
    server, at = resources.server_named(name), desk(request)
    may_see_who = at.may_all("user.list", "role.list", "binding.list")
    openers = resources.openers_of_server(at.live, server.name, at.context.at) if may_see_who else ()
    context = {
        "server": server,
        **resources.summary_of(server.document),
        "addr": server.document.get("spec", {}).get("addr", ""),
        "suffix": SUFFIX,
        "yaml": yaml_of(server.document),
        "openers": list(islice(openers, SHOWN)) if may_see_who else None,
        "more_openers": next(iter(openers), None) is not None,
        "lock": access.standing_lock("server", server.name) if at.may("lock.list") else None,
        "uses": access.latest_of_resource(server.pk) if at.may("session.list") else None,
        "events": events.about_resource(server.pk) if at.may("event.list") else None,
        "may_update": at.may("server.update", server.name),
        "may_delete": at.may("server.delete", server.name),
        "may_lock": at.may("lock.create"),
    }
    return render(request, "console/servers/page.html", context)


@console_page("server.create", WRITE)
def server_new(request: SignedInRequest) -> HttpResponse:
    """Tell Postern of a server; enrolling it comes next."""
    form = forms.ServerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]

        def create() -> None:
            if Server.objects.filter(name=name).exists():
                raise Conflict(f"there is a server {name} already", "choose another name")
            save_document(request.origin, desk(request).subject, parse_mapping("server", form.as_document()))

        if attempt(form, create, forms.RESOURCE_FIELDS):
            messages.success(request, f"{name} was added; now let the server trust Postern")
            may_enrol = desk(request).may("server.update", name)
            return redirect("console:server-enroll", name=name) if may_enrol else redirect(page_url("server", name))
    return render(request, "console/servers/new.html", {"form": form})


@console_page("server.update", WRITE)
def server_enroll(request: SignedInRequest, name: str) -> HttpResponse:
    """The script that makes the server trust us; a script with a token is shown once."""
    server = resources.server_named(name)
    form = forms.HostKeyForm(request.POST or None)
    context = {"server": server, "form": form}
    if request.method == "POST" and form.is_valid():
        key = form.cleaned_data["host_key"].strip()
        try:
            script, until = enrolment.prepare(request.origin, desk(request).subject, server.name, key)
        except Invalid as error:
            form.add_error("host_key", f"{error.message}{f': {error.hint}' if error.hint else ''}")
        else:
            context.update(script=script, until=parse_datetime(until) if until else None)
    return render(request, "console/servers/enroll.html", context)


@console_page("server.update", WRITE)
def server_edit(request: SignedInRequest, name: str) -> HttpResponse:
    """Edit a server's document."""
    return edit_document(request, "server", name)


@console_page("server.delete", WRITE)
def server_delete(request: SignedInRequest, name: str) -> HttpResponse:
    """Forget a server. What it trusts is in its own configuration."""
    costs = ["no certificate for it is given out any more; its sshd keeps running"]
    return remove_document(request, "server", name, costs)
