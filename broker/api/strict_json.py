"""JSON as we take it: one object of bounded size and depth, no key twice, no NaN. Whatever is doubtful is refused."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.http import HttpRequest
from ninja.parser import Parser

from broker.errors import PosternError

MAX_DEPTH = 16
MAX_VALUES = 20_000


class BadRequest(PosternError):
    """The request cannot be read at all."""


class WrongType(PosternError):
    """The body is not JSON by its own account."""


class StrictParser(Parser):
    """Reads bodies for django-ninja."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """The body's object. Raises BadRequest or WrongType."""
        if request.content_type != "application/json":
            raise WrongType("the body is not marked as JSON", "send it with Content-Type: application/json")
        return parse_object(request.body)


def parse_object(body: bytes, most_values: int = MAX_VALUES) -> dict[str, Any]:
    """The object that a body holds. Raises BadRequest."""
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise BadRequest("the body is not JSON that we take", "check quotes, commas, and that no key is there twice")
    if not isinstance(value, dict):
        raise BadRequest("the body is not a JSON object", "send {…}")
    _check_size(value, most_values)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _check_size(value: Any, most: int) -> None:
    """Walk level by level, so that depth costs no stack."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH):
        count += len(level)
        if count > most:
            raise BadRequest(f"the body holds more than {most} values")
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise BadRequest(f"the body is nested deeper than {MAX_DEPTH}")
