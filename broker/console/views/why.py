"""Why? One question to policy, answered with each role tried. About others only for who may read users and roles."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from accounts.requests import SignedInRequest
from broker.console import forms
from broker.console.changing import attempt
from broker.console.desk import Desk, desk
from broker.console.entry import for_everyone
from broker.console.queries.events import moment_in
from broker.console.templatetags.postern import exact
from broker.policy import Denial, Permit
from broker.services.why import Answer, Question, explain_access

FIELDS = {"action": "action", "resource": "resource", "login": "login"}
_KINDS = {"app.request": "app", "ssh.session": "server"}


@for_everyone
def why(request: SignedInRequest) -> HttpResponse:
    """Ask and see; the question is in the address, so that it can be sent to somebody."""
    at = desk(request)
    about_others = at.may_all("user.read", "role.read")
    asked = request.GET if "resource" in request.GET or "action" in request.GET else None
    form = forms.WhyForm(asked, initial={"action": "app.request", "user": request.user.username})
    if asked:
        form.allow_action(asked.get("action", ""))
    if not about_others:
        del form.fields["user"]
    context: dict[str, Any] = {"form": form, "about_others": about_others}
    if asked and form.is_valid() and at.subject is not None:
        subject, question = at.subject, _question(form.cleaned_data, request.user.username)
        answers: list[Answer] = []
        if attempt(form, lambda: answers.append(explain_access(request.origin, subject, question)), FIELDS):
            context.update(why=_shown(at, question, answers[0]), assumed=answers[0].assumed)
    return render(request, "console/why.html", context)


def _question(said: dict[str, Any], me: str) -> Question:
    action = said["action"] or "app.request"
    moment = moment_in(said["at"]) if said["at"] else None
    resource, login = said["resource"], said["login"]
    if action == "ssh.session" and "@" in resource and not login:
        login, _, resource = resource.rpartition("@")
    user = said.get("user", "")
    return Question(
        action=action,
        kind=_KINDS.get(action, action.partition(".")[0]),
        name=resource,
        user="" if user == me else user,
        login=login,
        method=said["method"].upper() or "GET",
        path=said["path"] or "/",
        address=said["address"],
        at=moment.timestamp() if moment else None,
    )


def _shown(at: Desk, question: Question, answer: Answer) -> dict[str, Any]:
    found = answer.explanation
    decision = found.decision
    reasons = decision.reasons if isinstance(decision, Denial) else (decision.reason,)
    may_read = at.may("role.read")
    what = f"{question.login}@{question.name}" if question.login else question.name
    return {
        "decision": "permit" if decision.permitted else "denial",
        "question": f"{answer.subject}, {question.action} {what}".strip(),
        "reasons": [{"reason": str(reasons[0]), "text": found.text}],
        "hint": found.hint if isinstance(decision, Denial) else "",
        "terms": _terms(decision, question.action) if isinstance(decision, Permit) else [],
        "roles": [
            {
                "role": tried.role,
                "via": tried.via,
                "outcome": tried.outcome,
                "failed": str(tried.failed or ""),
                "text": tried.text,
                "url": reverse("console:role", kwargs={"name": tried.role}) if may_read else "",
            }
            for tried in found.tried
        ],
    }


def _terms(permit: Permit, action: str) -> list[tuple[str, str]]:
    terms = [("until", exact(permit.ends_at))] if permit.ends_at else []
    if action != "ssh.session":
        return terms
    allowed = {
        "terminal": permit.pty,
        "copying files": permit.file_copy,
        "port forwarding": permit.forward_ports,
        "agent forwarding": permit.forward_agent,
        "X11 forwarding": permit.forward_x11,
    }
    return [
        *terms,
        ("allows", ", ".join(name for name, yes in allowed.items() if yes) or "running commands only"),
        ("bound to the address", "yes" if permit.pin_source else "no"),
    ]
