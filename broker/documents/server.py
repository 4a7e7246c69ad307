"""The kind `server` (Teleport's `node`): a machine reached over SSH."""

from __future__ import annotations

from typing import Any

from broker.documents import words
from broker.documents.mfa import mfa_document, read_mfa
from broker.documents.section import Section
from broker.documents.spec import ServerSpec


def read_server(document: Section, name: str, description: str, labels: dict[str, str]) -> ServerSpec:
    """The server that a document says; problems are noted in its sections."""
    spec = document.section("spec")
    read = ServerSpec(
        name,
        addr=spec.text("addr", words.address, required=True),
        hostname=spec.text("hostname", words.host),
        description=description,
        labels=labels,
        mfa=read_mfa(spec),
    )
    spec.finish()
    return read


def server_spec_document(server: ServerSpec) -> dict[str, Any]:
    """The `spec` of a server as plain values."""
    demands = {key: value for key, value in mfa_document(server.mfa).items() if value is not None}
    return {"addr": server.addr, **({"hostname": server.hostname} if server.hostname else {}), **demands}
