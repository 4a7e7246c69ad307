"""Log lines: time, level, part, message, one line each, control characters escaped."""

from __future__ import annotations

import logging
import re

_SECRETS = re.compile(r"(?<=/invite/)[^\s\"'/?]+|ptn_[0-9A-Za-z_]+")


class LineFormatter(logging.Formatter):
    """One line a record; whatever a client sent cannot start a new one. What lets somebody in is cut out."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The record with its traceback, without our secrets: Django names the path of whatever failed."""
        return _SECRETS.sub("…", super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, with control characters made visible."""
        line = super().formatMessage(record)
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
