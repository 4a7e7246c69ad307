"""The kind `app`: a private web app and how its upstream is reached."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from broker.documents import words
from broker.documents.mfa import mfa_document, read_mfa
from broker.documents.section import Section, anything, described
from broker.documents.spec import AppSpec, HeaderRewrite, UpstreamTls
from broker.policy.path import path_pattern

HOST_WAYS = ("upstream", "public")
_SIZE = re.compile(r"([1-9][0-9]{0,11})(KiB|MiB|GiB)?")
_UNITS = {None: 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def read_app(document: Section, name: str, description: str, labels: dict[str, str]) -> AppSpec:
    """The app that a document says; problems are noted in its sections."""
    spec = document.section("spec")
    uri = spec.text("uri", _uri, required=True).rstrip("/")
    read = AppSpec(
        name,
        uri,
        description,
        labels,
        public_addr=spec.text("public_addr", words.host),
        public_paths=spec.texts("public_paths", _path),
        headers=_read_headers(spec.section("headers")),
        host=spec.text("host", words.host, default="upstream"),
        tls=_read_tls(spec.section("tls")),
        max_body=_read_size(spec, "max_body"),
        allow_encoded_slashes=bool(spec.flag("allow_encoded_slashes")),
        mfa=read_mfa(spec),
    )
    if read.tls != UpstreamTls() and uri.startswith("http:"):
        spec.problem("tls", "means nothing for an http upstream", "write the uri with https")
    spec.finish()
    return read


def _read_headers(headers: Section) -> HeaderRewrite:
    read = HeaderRewrite(
        set=headers.text_map("set", words.header_name, words.header_value),
        remove=headers.texts("remove", words.header_name),
    )
    headers.finish()
    lowered = [name.lower() for name in (*read.set, *read.remove)]
    for name in sorted({name for name in lowered if lowered.count(name) > 1}):
        headers.problem("", f"name {name} more than once")
    return read


def _read_tls(tls: Section) -> UpstreamTls:
    verify = tls.flag("verify")
    read = UpstreamTls(
        verify=verify is not False, ca=tls.text("ca", words.pem), server_name=tls.text("server_name", words.host)
    )
    if not read.verify and (read.ca or read.server_name):
        tls.problem("verify", "is false, so ca and server_name mean nothing", "remove them, or verify")
    tls.finish()
    return read


def _read_size(spec: Section, key: str) -> int | None:
    value = spec.take(key)
    if value is None:
        return None
    match = _SIZE.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if match is None:
        shown = value if isinstance(value, str) else described(value)
        spec.problem(key, f"is not a size: {str(shown)[:40]}", "bytes, or such as 100MiB; leave it out for no limit")
        return None
    return int(match[1]) * _UNITS[match[2]]


def _uri(text: str) -> str:
    """http or https, a host, perhaps a port, and nothing else: the path of a request is passed on as it is."""
    if wrong := anything(text):
        return wrong
    if not text.isascii() or any(c in text for c in ' \\"<>{}|^`?#@'):
        return "holds characters an upstream address cannot have"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        return f"is not an address: {error}"
    if parts.scheme not in ("http", "https") or not text.startswith(("http://", "https://")):
        return "must begin with http:// or https://"
    if port == 0 or parts.netloc.endswith(":"):
        return "has no such port"
    if parts.path not in ("", "/"):
        return "must not have a path: the path of a request is passed on as it is"
    return words.host_or_address(parts.hostname or "")


def _path(text: str) -> str:
    try:
        path_pattern(text)
    except ValueError as error:
        return f"is wrong: {error}"
    return ""


def app_spec_document(app: AppSpec) -> dict[str, Any]:
    """The `spec` of an app as plain values, leaving out what is as it is anyway."""
    headers = {"set": dict(app.headers.set), "remove": list(app.headers.remove)}
    tls: dict[str, Any] = {"ca": app.tls.ca, "server_name": app.tls.server_name}
    document = {
        "uri": app.uri,
        "public_addr": app.public_addr,
        "public_paths": list(app.public_paths),
        "headers": {key: value for key, value in headers.items() if value},
        "host": "" if app.host == "upstream" else app.host,
        "tls": {
            **({} if app.tls.verify else {"verify": False}),
            **{key: value for key, value in tls.items() if value},
        },
        "max_body": app.max_body,
        "allow_encoded_slashes": app.allow_encoded_slashes,
    }
    demands = {key: value for key, value in mfa_document(app.mfa).items() if value is not None}
    return {key: value for key, value in document.items() if value} | demands
