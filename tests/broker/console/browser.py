"""A browser as nginx passes it on, signed in as somebody of the cast or as nobody."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from accounts import cookies
from accounts.models import LoginSession, User
from tests.broker.cast import ADDRESS, signed_in

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Browser:
    """Keeps cookies; sends forms with the token of a page it opened, as people's browsers do."""

    def __init__(self, name: str = "") -> None:
        headers = {"host": "postern.localhost:8080", "x-real-ip": ADDRESS}
        self.http = Client(headers=headers, enforce_csrf_checks=True, raise_request_exception=False)
        self.session: LoginSession | None = None
        if name:
            actor = signed_in(User.objects.get(username=name), LoginSession.Kind.BROWSER)
            self.session = actor.session
            self.http.cookies[cookies.SESSION] = actor.token

    def get(self, path: str, **query: str) -> Any:
        return self.http.get(path, query)

    def text(self, path: str, **query: str) -> str:
        """The page, which must be one."""
        response = self.get(path, **query)
        assert response.status_code == 200, (path, response.status_code)
        return str(response.content.decode())

    def post(self, path: str, **form: str) -> Any:
        """Send a form with the token of the home page, which has the form to sign out."""
        found = TOKEN.search(self.http.get("/").content.decode())
        return self.http.post(path, {**form, "csrfmiddlewaretoken": found[1] if found else "none"})


def words(response: Any) -> str:
    """What a page says, without its markup, white space squeezed."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))
