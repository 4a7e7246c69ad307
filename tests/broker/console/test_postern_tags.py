"""Times in words, badges, sort links, and form controls that name their hints and errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django import forms
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import Settings

from broker.console.templatetags import postern

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def static_files_without_hashes(settings: Settings) -> None:
    """Hashed names need `collectstatic`, which is not what is tested here."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


def render(text: str, **context: object) -> str:
    return Template("{% load postern %}" + text).render(Context(context))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-9, "just now"),
        (-59, "59 s ago"),
        (-61, "1 min ago"),
        (3 * 3600, "in 3 h"),
        (-86400 * 2, "2 d ago"),
        (-86400 * 40, "1 mo ago"),
        (86400 * 800, "in 2 y"),
    ],
)
def test_a_moment_is_told_from_now(monkeypatch: pytest.MonkeyPatch, seconds: int, words: str) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    assert postern.relative(NOW + timedelta(seconds=seconds)) == words
    assert postern.relative((NOW + timedelta(seconds=seconds)).timestamp()) == words


def test_what_never_happened_says_never() -> None:
    assert "never" in render('{% include "components/time.html" %}', at=None)
    assert postern.relative(None) == postern.iso(None) == postern.exact(None) == ""


def test_a_time_carries_its_exact_moment() -> None:
    page = render('{% include "components/time.html" %}', at=NOW)
    assert 'datetime="2026-01-31T12:00:00+00:00"' in page
    assert 'title="2026-01-31 12:00:00 UTC"' in page


def test_a_badge_escapes_what_it_says() -> None:
    assert "<b>" not in render("{% badge kind word %}", kind="<b>", word="<b>")
    assert "badge-bad" in render('{% badge "denial" %}')


@pytest.mark.parametrize(
    ("name", "letters"), [("grafana", "Gr"), ("build-bot", "BB"), ("db_1", "D1"), ("", "?"), ("-", "?")]
)
def test_a_name_becomes_one_or_two_letters(name: str, letters: str) -> None:
    assert postern.monogram(name) == letters


def test_sorting_keeps_the_filters_and_starts_at_the_first_page() -> None:
    request = RequestFactory().get("/users", {"q": "a&b", "page": "3", "sort": "name"})
    page = render('{% sort_link "name" "Name" %}', request=request)
    assert "q=a%26b" in page
    assert "page=" not in page
    assert "sort=-name" in page
    assert 'aria-sort="ascending"' in page


class Asking(forms.Form):
    """A form with a hint and a required password."""

    name = forms.CharField(help_text="lower case")
    password = forms.CharField(widget=forms.PasswordInput)


def test_a_refused_field_names_its_error_and_its_hint() -> None:
    form = Asking({"name": "", "password": "correct horse"})
    form.is_valid()
    page = render('{% include "components/form.html" %}', form=form)
    assert 'aria-describedby="id_name_error id_name_hint"' in page
    assert 'aria-invalid="true"' in page
    assert 'id="id_name_error"' in page
    assert 'href="#id_name"' in page


def test_a_password_is_never_sent_back_to_the_page() -> None:
    form = Asking({"name": "", "password": "correct horse"})
    form.is_valid()
    assert "correct horse" not in render('{% include "components/form.html" %}', form=form)


@pytest.mark.parametrize("name", ["400", "403", "404", "409", "429", "500", "502", "503"])
def test_an_error_page_needs_neither_request_nor_static_files(name: str) -> None:
    from django.template.loader import render_to_string

    page = render_to_string(
        f"errors/{name}.html", {"csp_nonce": "n0nce", "request_id": "3f9a", "home_url": "https://x.test/"}
    )
    assert '<style nonce="n0nce">' in page
    assert "3f9a" in page
    assert "/static/" not in page


def test_a_denial_says_what_was_missing_and_escapes_it() -> None:
    from django.template.loader import render_to_string

    reasons = [{"reason": "mfa-too-old", "text": "<script>your second factor is 9 hours old"}]
    page = render_to_string("errors/403.html", {"reasons": reasons, "app_name": "grafana", "request_id": "3f9a"})
    assert "mfa-too-old" in page
    assert "your second factor is 9 hours old" in page
    assert "<script>" not in page
