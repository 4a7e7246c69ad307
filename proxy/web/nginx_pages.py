"""What nginx answers by itself: where to sign in, and refusals whose words the decision service has written."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.web.nginx_text import block


def sign_in() -> str:
    """Nobody is signed in: a navigation is led to where one signs in, anything else is told."""
    return block(
        "location @postern_sign_in",
        "internal;",
        "default_type application/problem+json;",
        'add_header Cache-Control "no-store" always;',
        "add_header Set-Cookie $postern_state always;",
        block("if ($postern_location)", "return 302 $postern_location;"),
        "return 401 $postern_problem;",
    )


def short_pages() -> Iterator[str]:
    """What nginx says itself: to programs, and about requests whose body was not read."""
    unable = '{"type":"about:blank","title":"cannot decide","status":503,"detail":"Postern cannot decide right now",'
    unable += '"reasons":[],"hint":"try again in a moment","request_id":"$request_id"}'
    json, html = "application/problem+json", "text/html"
    yield _short("denied-json", json, 'return 403 "$postern_problem";')
    yield _short("denied-html", html, f"return 403 '{_html('Denied', '$postern_text')}';")
    yield _short("unavailable-json", json, f"return 503 '{unable}';")
    yield _short("unavailable-html", html, f"return 503 '{_html('Postern cannot decide right now', _UNABLE)}';")


_UNABLE = "While it cannot decide, the answer is no. Try again in a moment."


def _html(title: str, text: str) -> str:
    style = "body{max-width:36rem;margin:15vh auto;padding:1rem;font:1rem/1.6 system-ui;color-scheme:light dark}"
    return (
        f"<!doctype html><meta charset=utf-8><meta name=viewport content=width=device-width><title>{title}</title>"
        f"<style>{style}</style><h1>{title}</h1><p>{text}</p><p>Request id: <code>$request_id</code></p>"
    )


def _short(name: str, kind: str, answer: str) -> str:
    return block(
        f"location = /_postern/{name}",
        "internal;",
        f"default_type {kind};",
        'add_header Cache-Control "no-store" always;',
        'add_header X-Content-Type-Options "nosniff" always;',
        answer,
    )
