"""Who sits at the console in one request, and the state that their page is decided on: looked up once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import cast

from django.http import HttpRequest

from accounts.requests import Request
from broker import live as live_state
from broker.live import Live
from broker.policy import Attempt, Context, Permit, Resource, Subject
from broker.services.decisions import subject_now

_KEPT_AS = "console_desk"


@dataclass(frozen=True, slots=True)
class Desk:
    """The live state as it was when the request came, and who asks. `at` is in Unix seconds."""

    live: Live
    subject: Subject | None
    context: Context

    def may(self, action: str, name: str = "") -> bool:
        """Whether an administrative action is permitted: to show a link or not, never instead of the check itself."""
        resource = Resource(action.partition(".")[0], "", name)
        return isinstance(self.live.decide(Attempt(self.subject, action, resource, self.context)), Permit)

    def offers(self, action: str) -> bool:
        """Whether it is permitted, or would be once the person confirms: to lead to a page that asks for that."""
        resource = Resource(action.partition(".")[0], "", "")
        decision = self.live.decide(Attempt(self.subject, action, resource, self.context))
        return isinstance(decision, Permit) or decision.confirmable

    def may_all(self, *actions: str) -> bool:
        """Whether all of these are permitted."""
        return all(self.may(action) for action in actions)


def desk(request: HttpRequest) -> Desk:
    """The desk of this request; nobody sits there who is not signed in."""
    found = getattr(request, _KEPT_AS, None)
    if found is None:
        found = _sit_down(cast(Request, request))
        setattr(request, _KEPT_AS, found)
    return cast(Desk, found)


def _sit_down(request: Request) -> Desk:
    live = live_state.current()
    session = request.login_session
    subject = subject_now(str(session.pk), live) if session else None
    return Desk(live, subject, Context(time.time(), request.address))
