"""No form of the console acts without the token that its own page carries (X01)."""

from __future__ import annotations

import json

import pytest

from broker.models import AuditEvent
from tests.broker.cast import Cast
from tests.broker.console.browser import TOKEN, Browser
from tests.broker.console.test_access import FILLED, ROWS

POSTS = [row for row in ROWS if row["page"].startswith("POST ")]
NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize("row", POSTS, ids=[row["page"] for row in POSTS])
def test_a_form_without_the_token_of_its_page_does_nothing(cast: Cast, row: dict[str, str]) -> None:
    """X01: no token, a token from another browser, JSON dressed as text, another site's origin: all refused."""
    path = row["page"].partition(" ")[2].format(**FILLED, lock=NOBODY, use=NOBODY, login=NOBODY, identity=NOBODY)
    adam, elsewhere = Browser("adam"), Browser("alice")
    theirs = TOKEN.search(elsewhere.get("/").content.decode())
    assert theirs
    adam.get("/")
    before = AuditEvent.objects.count()
    form = {"confirm": "yes"}
    answers = [
        adam.http.post(path, form),
        Browser("adam").http.post(path, {**form, "csrfmiddlewaretoken": theirs[1]}),
        adam.http.post(path, json.dumps({**form, "csrfmiddlewaretoken": "x"}), content_type="text/plain"),
        adam.http.post(path, json.dumps(form), content_type="application/json"),
    ]
    mine = TOKEN.search(adam.get("/").content.decode())
    assert mine
    foreign = adam.http.post(path, {**form, "csrfmiddlewaretoken": mine[1]}, headers={"origin": "https://evil.example"})
    assert [answer.status_code for answer in (*answers, foreign)] == [403] * 5
    assert all("nothing was done" in answer.content.decode() for answer in (*answers, foreign))
    assert AuditEvent.objects.count() - before == 0


def test_a_page_that_only_shows_takes_no_form(cast: Cast) -> None:
    adam = Browser("adam")
    assert adam.post("/console/users").status_code == 405
    assert adam.post("/console/why").status_code == 405
    assert adam.get("/console/users/charlie/enable").status_code == 405
