"""My own sign-ins: in which browsers and command lines, what is open under each, and ending them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from ninja import Router

from accounts.services.login_sessions import revoke_login_session, sign_out_everywhere
from broker.api.caller import ApiRequest
from broker.api.schemas import Ended, MySessionPage
from broker.errors import Invalid, NotFound
from broker.services.my_sessions import MySession, flat, list_my_sessions

router = Router(tags=["mine"])
_FIELDS = (
    *("id", "kind", "device_name", "address", "last_address", "via", "signed_in_with", "amr", "mfa_at"),
    *("started_at", "last_seen_at", "current"),
)


@router.get("sessions", response=MySessionPage, summary="Where I am signed in")
def my_sessions(request: ApiRequest) -> dict[str, Any]:
    """All of my sign-ins that are open, a command line after the browser that let it in."""
    session = request.auth.session()
    trees = list_my_sessions(session.user, session)
    return {"items": [_answer(one, tree) for tree in trees for one in (tree, *tree.clis)], "next": None}


@router.delete("sessions/{uuid:session_id}", response=Ended, summary="End one of my sign-ins")
def end_my_session(request: ApiRequest, session_id: UUID) -> dict[str, Any]:
    """And every use of apps and servers that rests on it. Another's is not there."""
    user = request.auth.session().user
    found = next((one for one in flat(list_my_sessions(user)) if one.id == session_id), None)
    if found is None:
        raise NotFound("there is no such session", "it may have ended already")
    revoke_login_session(request.auth.origin, user, session_id)
    return {"ends_sessions": found.cuts}


@router.delete("sessions", response=Ended, summary="End all my sign-ins but this one")
def end_my_other_sessions(request: ApiRequest, others: bool = False) -> dict[str, Any]:
    """With `others=true` only: nobody shall end them all by leaving out an id."""
    if not others:
        raise Invalid("this would end all sessions but this one", "say so with others=true, or name one session")
    session = request.auth.session()
    ended = [one for one in flat(list_my_sessions(session.user, session)) if not one.current]
    sign_out_everywhere(request.auth.origin, session.user, session)
    return {"ends_sessions": sum(one.cuts for one in ended)}


def _answer(one: MySession, tree: MySession) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in _FIELDS},
        "expires_at": one.ends_at,
        "let_in_by": tree.id if one is not tree else None,
        "uses": [asdict(use) for use in one.uses],
    }
