"""What lists share: the query in the address, sorting by a known column, pages of fifty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest

PER_PAGE = 50
LONGEST = 200
"""Characters of a filter that are looked at."""


def asked(request: HttpRequest, *names: str) -> dict[str, str]:
    """The filters in the address, trimmed; those that are not given are empty."""
    return {name: request.GET.get(name, "").strip().replace("\0", "")[:LONGEST] for name in names}


def sorting(request: HttpRequest, columns: Mapping[str, str], default: str) -> str:
    """The order that the address asks for if it is one of `columns`, else the default one: `name` or `-name`."""
    wanted = request.GET.get("sort", "")
    return wanted if wanted.removeprefix("-") in columns else default


def order_by(rows: QuerySet[Any], columns: Mapping[str, str], sort: str) -> QuerySet[Any]:
    """Rows in that order, ties by key, so that pages do not overlap."""
    sign = "-" if sort.startswith("-") else ""
    return rows.order_by(f"{sign}{columns[sort.removeprefix('-')]}", "pk")


def page_of(request: HttpRequest, rows: QuerySet[Any] | Sequence[Any]) -> Page[Any]:
    """The page that the address asks for; a page that is not there is the nearest one that is."""
    return Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
