"""What a provider says of itself (OpenID Connect Discovery 1.0): checked, and kept for a while.

An endpoint is believed only on the issuer's own host and port, or on one that the connector names in `endpoint_hosts`:
whoever can change the discovery document must not be able to lead codes and client secrets elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from accounts.oidc.errors import ProviderFailed
from accounts.oidc.fetching import WRONG, client, conversation, json_answer, turn
from broker.documents.connector_spec import OidcSpec
from broker.documents.oidc import is_this_machine

WELL_KNOWN = "/.well-known/openid-configuration"
KEEP_SECONDS = 30 * 60.0
KEEP_FAILURE_SECONDS = 5.0
"""For so long a failure is answered from memory: a flood of visitors asks a broken provider no more often."""

LONGEST_URL = 2000
MOST_KEPT = 1000
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
MORE_ENDPOINTS = ("userinfo_endpoint", "end_session_endpoint")


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID Provider's particulars, checked."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    names_itself: bool = False
    """Whether it says who it is when it sends a browser back (RFC 9207)."""

    client_auth: str = "client_secret_basic"
    backchannel_logout: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


T = TypeVar("T")


class Kept(Generic[T]):
    """Values fetched rarely and kept in this process: one thread fetches, a few others wait a little for what it gets.

    A good value is given at once, also while somebody fetches a newer one.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: dict[object, tuple[float, T]] = {}
        self._failures: dict[object, tuple[float, ProviderFailed]] = {}
        self._locks: dict[object, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: object, fetch: Callable[[], T], newer_than: float = 0.0) -> T:
        """The value, fetched if it is too old or was fetched before `newer_than` (monotonic). Raises ProviderFailed.

        A failure does not push out a good value.
        """
        with self._lock:
            if len(self._locks) > MOST_KEPT:
                self._forget()
            lock = self._locks.setdefault(key, threading.Lock())
        if good := self._good(key, newer_than):
            return good[0]
        with turn(lock):
            if good := self._good(key, newer_than):
                return good[0]
            if key in self._failures:
                failed_at, failure = self._failures[key]
                if time.monotonic() - failed_at < KEEP_FAILURE_SECONDS:
                    raise failure
            try:
                value = fetch()
            except ProviderFailed as error:
                self._failures[key] = (time.monotonic(), error)
                raise
            self._failures.pop(key, None)
            self._values[key] = (time.monotonic(), value)
            return value

    def _good(self, key: object, newer_than: float) -> tuple[T] | None:
        at, value = self._values.get(key, (0.0, None))
        is_good = value is not None and at >= newer_than and time.monotonic() - at < self._seconds
        return (value,) if is_good and value is not None else None

    def age(self, key: object) -> float:
        """Seconds since the value was fetched; infinite if there is none."""
        kept = self._values.get(key)
        return time.monotonic() - kept[0] if kept else float("inf")

    def forget(self) -> None:
        """Fetch everything anew."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._values.clear()
        self._failures.clear()
        self._locks.clear()


_kept: Kept[Provider] = Kept(KEEP_SECONDS)


def provider_of(spec: OidcSpec, anew: bool = False) -> Provider:
    """The provider's particulars. `anew` asks it now, for tests of a connector. Raises ProviderFailed."""
    key = (spec.issuer, spec.ca, spec.endpoint_hosts)
    return _kept.get(key, lambda: _fetch(spec), newer_than=time.monotonic() if anew else 0.0)


def forget() -> None:
    """Ask all providers anew."""
    _kept.forget()


def _fetch(spec: OidcSpec) -> Provider:
    with conversation("discovery document"), client(spec.ca) as http:
        answer = http.get(spec.issuer.rstrip("/") + WELL_KNOWN)
    return checked(spec, json_answer(answer, "discovery document"))


def checked(spec: OidcSpec, raw: Mapping[str, Any]) -> Provider:
    """The particulars in a discovery document. Raises ProviderFailed for one that must not be believed."""
    if raw.get("issuer") != spec.issuer:
        raise ProviderFailed(
            "other-issuer",
            "the provider's discovery document names another issuer than the connector",
            "copy the issuer from the document letter by letter, a slash at the end included",
        )
    found = {name: _endpoint(spec, raw, name) for name in (*ENDPOINTS, *MORE_ENDPOINTS)}
    if missing := [name for name in ENDPOINTS if not found[name]]:
        raise ProviderFailed("no-endpoint", f"the provider's discovery document has no {missing[0]}", WRONG)
    if "S256" not in _texts(raw, "code_challenge_methods_supported", ["S256"]):
        raise ProviderFailed("no-pkce", "the provider does not know PKCE with S256", WRONG)
    if "code" not in _texts(raw, "response_types_supported", ["code"]):
        raise ProviderFailed("no-code-flow", "the provider does not offer the authorization code flow", WRONG)
    return Provider(
        issuer=spec.issuer,
        **found,
        names_itself=raw.get("authorization_response_iss_parameter_supported") is True,
        client_auth=_client_auth(raw),
        backchannel_logout=raw.get("backchannel_logout_supported") is True,
        raw=raw,
    )


def _endpoint(spec: OidcSpec, raw: Mapping[str, Any], name: str) -> str:
    url = raw.get(name)
    if url is None:
        return ""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or len(url) > LONGEST_URL:
        raise ProviderFailed("bad-endpoint", f"the provider's {name} is not an address", WRONG)
    try:
        parts = urlsplit(url)
        place = _place(url)
    except ValueError:
        raise ProviderFailed("bad-endpoint", f"the provider's {name} is not an address", WRONG) from None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_this_machine(parts.hostname or "")):
        raise ProviderFailed("not-https", f"the provider's {name} does not begin with https://", WRONG)
    if parts.username is not None or parts.fragment or "\\" in url:
        raise ProviderFailed("bad-endpoint", f"the provider's {name} is not an address", WRONG)
    allowed = {_place(spec.issuer), *(_place(f"https://{host}") for host in spec.endpoint_hosts)}
    if place not in allowed:
        host = parts.netloc
        raise ProviderFailed(
            "other-host",
            f"the provider's {name} is on {host}, another host than the issuer's",
            f"if that is right, an administrator can add {host} to the connector's endpoint_hosts",
        )
    return url


def _place(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return (parts.hostname or "").rstrip("."), parts.port or (443 if parts.scheme == "https" else 80)


def _texts(raw: Mapping[str, Any], name: str, default: list[str]) -> list[str]:
    value = raw.get(name, default)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _client_auth(raw: Mapping[str, Any]) -> str:
    offered = _texts(raw, "token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return next(
        (name for name in ("client_secret_basic", "client_secret_post") if name in offered), "client_secret_basic"
    )
