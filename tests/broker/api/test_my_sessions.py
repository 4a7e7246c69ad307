"""One's own sign-ins over the API: nobody else's are there, and what is ended is over at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import LoginSession
from broker.models import AccessSession, AuditEvent
from tests.broker.cast import Actor, Cast, client, signed_in

pytestmark = pytest.mark.urls("tests.broker.api.urls")


def listed(actor: Actor) -> dict[str, dict[str, Any]]:
    answer = client(actor).get("/api/v1/sessions").json()
    assert answer["next"] is None
    return {item["id"]: item for item in answer["items"]}


def use(actor: Actor) -> AccessSession:
    """Something open under the actor's session."""
    now = timezone.now()
    return AccessSession.objects.create(
        login_session_id=actor.session.pk,
        user_id=actor.user.pk,
        user_name=actor.user.username,
        resource_id=uuid4(),
        resource_name="grafana",
        protocol="web",
        credential="cookie",
        started_at=now,
        last_used_at=now,
        expires_at=now + timedelta(hours=1),
    )


def test_nobody_sees_or_ends_what_is_not_theirs(cast: Cast) -> None:
    assert str(cast.bob.session.pk) not in listed(cast.alice)
    http = client(cast.alice)
    theirs = http.delete(f"/api/v1/sessions/{cast.bob.session.pk}")
    none = http.delete(f"/api/v1/sessions/{uuid4()}")
    assert (theirs.status_code, theirs.json()["detail"]) == (none.status_code, none.json()["detail"])
    assert theirs.status_code == 404
    assert client(cast.alice).delete("/api/v1/sessions?others=true").json() == {"ends_sessions": 0}
    assert client(cast.bob).get("/api/v1/status").status_code == 200


def test_each_sign_in_is_told_with_what_is_open_under_it(cast: Cast) -> None:
    laptop = signed_in(cast.alice.user, LoginSession.Kind.BROWSER)
    cast.alice.session.parent = laptop.session
    cast.alice.session.save()
    use(cast.alice)
    found = listed(cast.alice)
    mine, browser = found[str(cast.alice.session.pk)], found[str(laptop.session.pk)]
    assert list(found) == [str(laptop.session.pk), str(cast.alice.session.pk)]
    assert (mine["current"], browser["current"]) == (True, False)
    assert (mine["let_in_by"], browser["let_in_by"]) == (str(laptop.session.pk), None)
    assert [item["resource"] for item in mine["uses"]] == ["grafana"]
    assert (mine["kind"], mine["via"], mine["amr"], browser["uses"]) == ("cli", "local", ["otp", "pwd"], [])


def test_ending_one_ends_what_hangs_on_it_and_says_how_much(cast: Cast) -> None:
    other = signed_in(cast.alice.user)
    use(other)
    assert client(other).get("/api/v1/status").status_code == 200
    answer = client(cast.alice).delete(f"/api/v1/sessions/{other.session.pk}")
    assert answer.json() == {"ends_sessions": 2}
    assert client(other).get("/api/v1/status").status_code == 401
    assert client(cast.alice).get("/api/v1/status").status_code == 200
    assert AuditEvent.objects.get(name="login_session.ended").data["why"] == "revoked"
    assert client(cast.alice).delete(f"/api/v1/sessions/{other.session.pk}").status_code == 404


def test_the_others_are_ended_only_by_saying_so(cast: Cast) -> None:
    others = [signed_in(cast.alice.user), signed_in(cast.alice.user, LoginSession.Kind.BROWSER)]
    for path in ("sessions", "sessions?others=false", "sessions?others=0"):
        assert client(cast.alice).delete(f"/api/v1/{path}").status_code == 422
    assert client(cast.alice).delete("/api/v1/sessions?others=true").json() == {"ends_sessions": len(others)}
    assert list(listed(cast.alice)) == [str(cast.alice.session.pk)]
