"""JSON as we take it (D14): doubtful bodies are refused before anything looks at them."""

from __future__ import annotations

import json

import pytest

from broker.api.strict_json import MAX_DEPTH, MAX_VALUES, BadRequest, parse_object
from tests.broker.cast import Cast, client

BAD = {
    "a key twice": b'{"app": "a", "app": "b"}',
    "a key twice, further in": b'{"x": {"a": 1, "a": 1}}',
    "NaN": b'{"x": NaN}',
    "infinity": b'{"x": -Infinity}',
    "a list": b"[]",
    "a string": b'"x"',
    "nothing": b"",
    "cut off": b'{"x": ',
    "not UTF-8": b'{"x": "\xff"}',
    "UTF-16": '{"x": 1}'.encode("utf-16"),
    "too deep": b'{"x":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "deep enough to break a stack": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "too many values": json.dumps({"x": [0] * MAX_VALUES}).encode(),
    "a number of many digits": b'{"x": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_what_is_doubtful_is_refused(body: bytes) -> None:
    """D14."""
    with pytest.raises(BadRequest):
        parse_object(body)


def test_a_plain_object_is_taken() -> None:
    assert parse_object('{"a": [1, 2.5, null, true, {"b": "ü"}]}'.encode()) == {"a": [1, 2.5, None, True, {"b": "ü"}]}


@pytest.mark.urls("tests.broker.api.urls")
@pytest.mark.parametrize("body", [body for body in BAD.values() if body])
def test_the_api_answers_400(cast: Cast, body: bytes) -> None:
    """D14."""
    response = client(cast.alice).generic("POST", "/api/v1/app-tokens", body, content_type="application/json")
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"


@pytest.mark.urls("tests.broker.api.urls")
@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""]
)
def test_json_under_another_name_is_refused(cast: Cast, content_type: str) -> None:
    """X01: what a form on another site can send is not read."""
    body = b'{"app": "grafana"}'
    response = client(cast.alice).generic("POST", "/api/v1/app-tokens", body, content_type=content_type)
    assert response.status_code == 415
