"""One account for every spelling of a name: the key under which user and group names are unique.

NFKC then casefold, as Unicode's identifier profile does it (UTS #31, UAX #15); what is confusable or invisible is
refused at creation, so that no two accounts look alike.
"""

from __future__ import annotations

import re
import unicodedata

# 32 characters, no "@": the name stands as the principal of an identity certificate, next to `login@server` ones.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?")


def name_key(text: str) -> str:
    """The key of a typed name; every spelling of one account gives the same."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.strip()).casefold())


def group_name(text: str) -> str:
    """The group that a provider's word names: its key; empty if that cannot name a group."""
    key = name_key(text)
    return key if is_name(key) else ""


def is_name(text: str) -> bool:
    """Whether `text` may name a new user: its own key, 32 ASCII letters, digits and `. _ -`."""
    return text == name_key(text) and _NAME.fullmatch(text) is not None
