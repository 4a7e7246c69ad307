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
    """The group that a provider's word names, in small letters; empty if it cannot name one.

    Nothing but the case of ASCII letters is folded: what only looks like another group there is not that group here.
    """
    name = text.lower() if text.isascii() else ""
    return name if is_name(name) else ""


def user_name(text: str) -> str:
    """The name that somebody who comes from a provider will have, by the same rule."""
    return group_name(text)


def is_name(text: str) -> bool:
    """Whether `text` may name a new user: its own key, 32 ASCII letters, digits and `. _ -`."""
    return text == name_key(text) and _NAME.fullmatch(text) is not None
