"""A person in a browser, over plain HTTP: comes in by an invite, enrols a second factor, and lets a CLI sign in.

Forms are filled in as they stand on the pages; nothing is put into the database.
"""

from __future__ import annotations

import base64
import html
import re
import time
from urllib.parse import urlsplit

import httpx2
from django_otp.oath import hotp


class WebPerson:
    """One person and their browser."""

    def __init__(self, browser: httpx2.Client, base: str) -> None:
        self.browser = browser
        self.base = base
        self.password = "the old lighthouse keeper walks home"
        self.seed = b""

    def come_in(self, invite_url: str) -> None:
        """From the invite link to the end of enrolment."""
        step = self._send(urlsplit(invite_url).path, {})
        assert step == "/sign-in/new-password", step
        step = self._send(step, {"new_password": self.password})
        assert step == "/sign-in/enrol", step
        self.enrol(step)

    def enrol(self, step: str) -> None:
        """Enrol an authenticator app, which is the rest of a first sign-in."""
        page = self.browser.get(step).text
        found = re.search(r"otpauth://[^\"'<>]*?secret=([A-Z2-7]+)", html.unescape(page))
        assert found, page
        self.seed = base64.b32decode(found[1])
        self._send(step, {"code": self.code()})
        self._send("/sign-in/recovery-codes", {"saved": "1"})

    def code(self) -> str:
        """What the authenticator app shows now."""
        return f"{hotp(self.seed, int(time.time()) // 30):06d}"

    def allow(self, address: str, answer: str = "allow") -> httpx2.Response:
        """Go where the CLI sends its person, and press a button there; the page or the redirect that follows."""
        parts = urlsplit(address)
        return self._post(f"{parts.path}?{parts.query}", {"answer": answer})

    def _send(self, path: str, fields: dict[str, str]) -> str:
        response = self._post(path, fields)
        assert response.status_code in (200, 302), f"{path}: {response.status_code} {_words(response.text)}"
        return urlsplit(response.headers.get("Location", "")).path

    def _post(self, path: str, fields: dict[str, str]) -> httpx2.Response:
        page = self.browser.get(path)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, f"{path}: {page.status_code} {page.headers.get('Location')} {_words(page.text)}"
        headers = {"Origin": self.base, "Referer": f"{self.base}/"}
        return self.browser.post(path, data={**fields, "csrfmiddlewaretoken": token[1]}, headers=headers)


def _words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.split("<main")[-1]).split())[:600]
