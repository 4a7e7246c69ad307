"""Paths of web requests: one reading that everybody shares, or none.

A request target that two programs could read differently (encoded slashes, dot segments, double encoding, matrix
parameters …) is not interpreted but refused: what was decided on must be what the upstream serves.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from broker.policy.pattern import Pattern, pattern_of

MAX_TARGET = 16 * 1024
ENCODED_SLASH = "%2F"

# Nothing to decode, no empty segment, no segment beginning with a dot: canonical as it is.
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)*/?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(r"%2[Ff]")
_SEGMENT_TAIL = re.compile(r"[. ]+(?=/|\Z)")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\;#?%]")


def canonical_path(target: str, *, encoded_slashes: bool = False) -> str | None:
    """The decoded path of a raw request target (query cut off), or None when it is ambiguous or malformed.

    With `encoded_slashes` a `%2F` is kept, as the text `%2F`; otherwise it makes the path ambiguous.
    """
    path, _, _ = target.partition("?")
    if path and _PLAIN.fullmatch(path) and "#" not in target and len(target) <= MAX_TARGET:
        return path
    if not _is_wire_text(target) or not path.startswith("/"):
        return None
    if _ENCODED_SLASH.search(path):
        if not encoded_slashes:
            return None
        return _with_encoded_slashes(path)
    decoded = _decode(path)
    return decoded if decoded is not None and _is_unambiguous(decoded) else None


def _is_wire_text(target: str) -> bool:
    """Visible ASCII, no fragment, not overlong: all that HTTP lets a client send."""
    return len(target) <= MAX_TARGET and target.isascii() and "#" not in target and all("!" <= c <= "~" for c in target)


def _with_encoded_slashes(path: str) -> str | None:
    decoded = [_decode(part) for part in _ENCODED_SLASH.split(path)]
    if any(part is None for part in decoded):
        return None
    parts = [part for part in decoded if part is not None]
    # Read as a separator, it must not make up a dot segment or an empty one either.
    return ENCODED_SLASH.join(parts) if _is_unambiguous("/".join(parts)) else None


def _decode(text: str) -> str | None:
    if _BAD_ESCAPE.search(text):
        return None
    try:
        decoded = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _FORBIDDEN.search(decoded) else decoded


def _is_unambiguous(path: str) -> bool:
    if _odd_segments(path):
        return False
    if path.isascii():
        return True
    # Look-alikes such as the full-width slash must not turn into structure in an upstream that normalises them.
    plain = unicodedata.normalize("NFKC", path)
    return not (
        _FORBIDDEN.search(plain)
        or _odd_segments(plain)
        or plain.count("/") != path.count("/")
        or (not path.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in path))
    )


def _odd_segments(path: str) -> bool:
    if "//" in path:
        return True
    return any(segment.rstrip(" ") in {".", ".."} for segment in path.split("/"))


def encoded_path(path: str) -> str:
    """A canonical path as it goes over the wire: `canonical_path(encoded_path(p)) == p`."""
    return ENCODED_SLASH.join(quote(part, safe="/~!$&'()*+,=:@") for part in path.split(ENCODED_SLASH))


@lru_cache(maxsize=16384)
def path_pattern(text: str) -> Pattern:
    """A path pattern from a role; raises ValueError with words when no canonical path could ever match it."""
    if not text.startswith("/"):
        raise ValueError("a path begins with /")
    if canonical_path(encoded_path(text), encoded_slashes=True) != text:
        raise ValueError("a path is written decoded, without query, //, dot segments, ; or \\")
    return pattern_of(text.split("*"))


@lru_cache(maxsize=16384)
def denial_pattern(text: str) -> Pattern:
    """The same for a deny rule, which compares in the wide form of `denial_forms()`."""
    path_pattern(text)
    return pattern_of(_trim(_wide(text)).split("*"))


def denial_forms(path: str) -> tuple[str, ...]:
    """The forms of a path a deny rule is compared with: case, look-alikes and trailing `/`, `.`, space ignored.

    An upstream may be lax where we are strict; a deny rule has to catch whatever such an upstream could serve. The form
    with a slash at the end lets `/admin/*` deny `/admin` too.
    """
    readings = (path, path.replace(ENCODED_SLASH, "/")) if ENCODED_SLASH in path else (path,)
    forms: list[str] = []
    for reading in readings:
        wide = _wide(reading)
        trimmed = _trim(wide)
        forms += (wide, trimmed, trimmed + "/")
    return tuple(forms)


def _wide(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _trim(text: str) -> str:
    """Without dots and spaces at the end of any segment, and without slashes at the end of the whole."""
    return _SEGMENT_TAIL.sub("", text).rstrip("/")
