"""Log lines: one each, and without what must not be read later."""

from __future__ import annotations

import io
import logging

import pytest
from django.test import Client

from accounts.views import enrolment
from broker.logs import LineFormatter
from broker.tokens import new_token


@pytest.mark.django_db
def test_a_failure_at_an_invite_does_not_log_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """S15, A16: Django names the path of what failed, and the link is still good then."""

    def broken(token: str) -> None:
        raise RuntimeError("the database went away")

    monkeypatch.setattr(enrolment, "open_invite", broken)
    said, token = io.StringIO(), new_token("")
    handler = logging.StreamHandler(said)
    handler.setFormatter(LineFormatter())
    logging.getLogger().addHandler(handler)
    try:
        response = Client(raise_request_exception=False).get(f"/invite/{token}?next=x")
    finally:
        logging.getLogger().removeHandler(handler)
    assert response.status_code == 500
    assert "the database went away" in said.getvalue()
    assert token not in said.getvalue()


def test_tokens_of_ours_are_not_logged_whoever_quotes_them() -> None:
    token = new_token("ptn_app_")
    record = logging.makeLogRecord({"msg": "asked with %s\nand more", "args": (token,)})
    line = LineFormatter().format(record)
    assert token not in line
    assert "\n" not in line
