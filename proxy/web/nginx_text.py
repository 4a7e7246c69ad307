"""Writing nginx's configuration language: quoting that cannot be broken out of."""

from __future__ import annotations

DOLLAR = "${postern_dollar}"
"""nginx knows no way to quote `$`; this variable, defined by the configuration itself, holds one."""


def quoted(text: str) -> str:
    """A string that stands for itself: nothing in it ends the string, the directive, or names a variable."""
    if any(c < " " or c == "\x7f" for c in text):
        raise ValueError("control characters have no place in nginx's configuration")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("$", DOLLAR) + '"'


def quoted_path(text: str) -> str:
    """A file's path, which takes no variables where it stands."""
    if any(c < " " or c in '\x7f"\\$' for c in text):
        raise ValueError(f"{text!r} cannot be written into nginx's configuration")
    return f'"{text}"'


def block(head: str, *lines: str) -> str:
    """A block with its lines indented."""
    body = "\n".join("    " + line if line else "" for part in lines for line in part.splitlines())
    return f"{head} {{\n{body}\n}}"
