"""What templates may call: icons, badges, times in words, sort links and form controls that name their hints."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django import forms, template
from django.http import HttpRequest
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from broker.console.plain import visible

register = template.Library()

# word -> (kind of colour, icon); unknown words are shown plain
BADGES: dict[str, tuple[str, str]] = {
    "permit": ("good", "check"),
    "denial": ("bad", "cross"),
    "active": ("good", "check"),
    "enrolled": ("good", "check"),
    "trusted": ("good", "check"),
    "added": ("good", "plus"),
    "live": ("live badge-good", ""),
    "locked": ("bad", "lock"),
    "disabled": ("bad", "cross"),
    "revoked": ("bad", "cross"),
    "removed": ("bad", "minus"),
    "error": ("bad", "warning"),
    "expired": ("", "clock"),
    "ended": ("", ""),
    "expiring": ("warn", "clock"),
    "pending": ("warn", "clock"),
    "invited": ("warn", "clock"),
    "changed": ("warn", "edit"),
    "no-mfa": ("warn", "warning"),
    "skipped": ("", "minus"),
    "current": ("accent", ""),
    "admin": ("accent", "shield"),
    "auditor": ("accent", "eye"),
}

UNITS = ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min"))


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    """A drawing from static/postern/icons.svg, hidden from screen readers: the words beside it say the same."""
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        extra,
        static("postern/icons.svg"),
        name,
    )


@register.simple_tag
def badge(kind: str, text: str = "") -> SafeString:
    """A state in one word, `kind` from BADGES; `text` replaces the word, not the colour."""
    colour, drawing = BADGES.get(str(kind), ("", ""))
    return format_html(
        '<span class="badge{}">{}{}</span>',
        f" badge-{colour}" if colour else "",
        icon(drawing) if drawing else "",
        text or str(kind),
    )


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds in one unit, rounded down: `40 s`, `5 min`, `3 h`, `12 d`, `4 mo`, `2 y`."""
    if seconds is None:
        return ""
    whole = int(abs(seconds))
    for size, unit in UNITS:
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


@register.filter
def relative(at: datetime | float | None) -> str:
    """A moment seen from now: `just now`, `5 min ago`, `in 3 h`."""
    if at is None or at == "":
        return ""
    ahead = (_moment(at) - timezone.now()).total_seconds()
    if abs(ahead) < 10:
        return "just now"
    return f"in {duration(ahead)}" if ahead > 0 else f"{duration(ahead)} ago"


@register.simple_tag
def moment(at: datetime | float | None, never: str = "never") -> SafeString:
    """What `components/time.html` shows, for long lists: a moment in words, the exact one on hover."""
    if not at:
        return format_html('<span class="soft">{}</span>', never)
    return format_html('<time datetime="{}" title="{}" data-relative>{}</time>', iso(at), exact(at), relative(at))


@register.filter
def iso(at: datetime | float | None) -> str:
    """RFC 3339 in UTC, for `<time datetime>`."""
    return "" if at in (None, "") else _moment(at).astimezone(UTC).isoformat(timespec="seconds")


@register.filter
def exact(at: datetime | float | None) -> str:
    """The moment to the second with its zone, for people."""
    if at in (None, ""):
        return ""
    return timezone.localtime(_moment(at)).strftime("%Y-%m-%d %H:%M:%S %Z")


@register.filter
def monogram(name: str | None) -> str:
    """One or two letters that stand for a name: `grafana` → `Gr`, `build-bot` → `BB`."""
    words = [word for word in str(name or "?").replace("_", "-").replace(".", "-").replace(" ", "-").split("-") if word]
    if not words:
        return "?"
    return (words[0][0] + words[1][0]).upper() if len(words) > 1 else words[0][:2].capitalize()


@register.filter
def pairs(labels: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Labels in alphabetical order, lists joined by commas."""
    shown = (
        (key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
        for key, value in (labels or {}).items()
    )
    return sorted(shown)


@register.filter
def shown(value: Any) -> str:
    """Text from elsewhere, with what cannot be seen or turns the line around made visible; lists joined by commas."""
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value)
    return visible(json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value))


@register.filter
def is_checkbox(field: forms.BoundField) -> bool:
    """Whether the label stands after the control."""
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def is_password(field: forms.BoundField) -> bool:
    """Whether the control wants a button that shows what was typed."""
    return isinstance(field.field.widget, forms.PasswordInput)


@register.filter
def control(field: forms.BoundField) -> SafeString:
    """The form control itself, told which texts describe it and whether its value was refused."""
    described = [f"{field.auto_id}_hint"] if field.help_text else []
    attributes: dict[str, str | bool] = {}
    if field.errors:
        described.insert(0, f"{field.auto_id}_error")
        attributes["aria-invalid"] = "true"
    if described:
        attributes["aria-describedby"] = " ".join(described)
    return field.as_widget(attrs=attributes)


@register.inclusion_tag("components/sort_link.html", takes_context=True)
def sort_link(context: dict[str, Any], key: str, label: str, number: bool = False) -> dict[str, Any]:
    """A column head that sorts: `?sort=key` for up, `?sort=-key` for down; keeps the filters, leaves the page."""
    request: HttpRequest = context["request"]
    now = request.GET.get("sort") or context.get("sort", "")
    query = request.GET.copy()
    query.pop("page", None)
    query.pop("cursor", None)
    query["sort"] = f"-{key}" if now == key else key
    direction = {key: "ascending", f"-{key}": "descending"}.get(now, "")
    return {"query": query.urlencode(), "label": label, "direction": direction, "number": number}


def _moment(at: Any) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromtimestamp(float(at), UTC)
