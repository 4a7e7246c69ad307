"""Where a browser may be sent after signing in: a page of the broker's own, never another site."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import Resolver404, resolve

HOME = "/"
LONGEST = 5000
_NOT_PAGES = ("/sign-in", "/sign-out", "/invite/", "/api/", "/static/", "/oauth/token", "/oidc/", "/_postern/")


def safe_next(text: str) -> str:
    """`text` if it is the path of one of our pages (with its query), else the home page."""
    if not text or len(text) > LONGEST or not text.isprintable() or "\\" in text or not text.isascii():
        return HOME
    if not text.startswith("/") or text.startswith("//"):
        return HOME
    path = urlsplit(text).path
    if path.startswith(_NOT_PAGES):
        return HOME
    try:
        resolve(path)
    except Resolver404:
        return HOME
    return text


def sign_in_url(request: HttpRequest) -> str:
    """The sign-in page that leads back to what was asked for. A POST is not repeated: it leads home."""
    if request.method not in ("GET", "HEAD") or request.path == HOME:
        return "/sign-in"
    return f"/sign-in?next={quote(request.get_full_path(), safe='/')}"


def go_on(request: HttpRequest, next: str) -> HttpResponse:
    """Send the browser on after a form.

    A launch goes on to an app's own host, where no form of ours may lead (`form-action`): it is followed from a page.
    """
    url = safe_next(next)
    if url.startswith("/launch/"):
        return render(request, "accounts/going_on.html", {"url": url})
    return redirect(url)
