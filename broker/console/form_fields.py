"""The fields that the console's forms are made of: names, pairs and moments as people type them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from broker.environment import seconds_in

NAME = {"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}
_SEPARATORS = re.compile(r"[,\s]+")


class PlainForm(forms.Form):
    """A form whose labels end without a colon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)


class WordsField(forms.CharField):
    """Several names in one line, separated by commas or spaces."""

    def to_python(self, value: Any) -> Any:
        """The names in order, each once."""
        words = _SEPARATORS.split(str(value or "").strip())
        return list(dict.fromkeys(word for word in words if word))

    def prepare_value(self, value: Any) -> Any:
        """Names as one types them."""
        return ", ".join(value) if isinstance(value, list | tuple) else value

    def validate(self, value: Any) -> None:
        """Only whether anything is there."""
        if self.required and not value:
            raise forms.ValidationError(self.error_messages["required"])

    def run_validators(self, value: Any) -> None:
        """There are none for a list."""


class PairsField(forms.CharField):
    """Lines of `name: value`; with `many`, of `name: value, value`."""

    widget = forms.Textarea(attrs={"rows": 4, "class": "mono", "spellcheck": "false", "autocapitalize": "none"})

    def __init__(self, *, many: bool = False, **kwargs: Any) -> None:
        self.many = many
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> Any:
        """The pairs as a mapping."""
        found: dict[str, Any] = {}
        for number, line in enumerate(str(value or "").splitlines(), start=1):
            name, colon, text = (part.strip() for part in line.partition(":"))
            if not line.strip():
                continue
            if not colon or not name or not text:
                raise forms.ValidationError(f"line {number} is not written name: value")
            if name in found:
                raise forms.ValidationError(f"line {number} names {name} a second time")
            found[name] = [part.strip() for part in text.split(",") if part.strip()] if self.many else text
        return found

    def prepare_value(self, value: Any) -> Any:
        """The pairs as lines."""
        if not isinstance(value, Mapping):
            return value
        return "\n".join(f"{name}: {_joined(values)}" for name, values in value.items())

    def validate(self, value: Any) -> None:
        """An empty mapping is fine."""

    def run_validators(self, value: Any) -> None:
        """There are none for a mapping."""


def _joined(values: str | Iterable[str]) -> str:
    return values if isinstance(values, str) else ", ".join(values)


class UntilField(forms.CharField):
    """A duration from now (`8h`, `7d`) or a moment (`2026-12-31 18:00`, UTC); empty: without end."""

    def to_python(self, value: Any) -> Any:
        """The moment, or None."""
        text = str(value or "").strip()
        if not text:
            return None
        moment = moment_in(text)
        if moment is None:
            raise forms.ValidationError("write a duration such as 8h or 7d, or a time such as 2026-12-31 18:00")
        if moment <= timezone.now():
            raise forms.ValidationError("this moment is over")
        return moment

    def prepare_value(self, value: Any) -> Any:
        """A moment as one types it."""
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if isinstance(value, datetime) else value

    def run_validators(self, value: Any) -> None:
        """There are none for a moment."""


def moment_in(text: str) -> datetime | None:
    """A duration from now, or a moment (UTC unless it says otherwise); None for anything else."""
    try:
        return timezone.now() + timedelta(seconds=seconds_in(text))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
