"""Documents as YAML text, as people read and edit them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, and writes short lists on one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def yaml_of(document: Mapping[str, Any]) -> str:
    """The document in the order in which it is kept."""
    return yaml.dump(dict(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def version_of(document: Mapping[str, Any]) -> str:
    """A mark that differs when the document does, to notice that somebody else changed it meanwhile."""
    return sha256(yaml_of(document).encode()).hexdigest()[:24]
