"""Asking providers: verified TLS, no redirects, a deadline for the whole answer, bounded size, few at a time."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore2
import httpx2

from accounts.oidc.errors import ProviderFailed

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 10.0
MAX_BYTES = 1024 * 1024
AT_A_TIME = 4
"""Conversations with providers in one process: fewer than it has threads, so that local sign-in never waits for one."""

WAIT_SECONDS = 2.0
MOST_WAITING = 3
"""So many threads may wait for a conversation or what comes of one. With those in one that is still less than all."""

_conversations = threading.BoundedSemaphore(AT_A_TIME)
_waiting = threading.BoundedSemaphore(MOST_WAITING)


class TooLarge(httpx2.TransportError):
    """An answer of more than MAX_BYTES."""


class Compressed(httpx2.TransportError):
    """An answer that must be unpacked, though we asked for one that need not."""


class ProviderTransport(httpx2.BaseTransport):
    """One connection per request. `ca` is PEM: the only authorities then; empty: those of the system."""

    def __init__(self, ca: str = "") -> None:
        self._tls = ssl.create_default_context(cadata=ca or None)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """The whole answer. Raises httpx2.TransportError, within TOTAL_SECONDS, whatever the other side does."""
        body = request.read()
        network = _Network(time.monotonic() + TOTAL_SECONDS)
        try:
            with (
                httpcore2.ConnectionPool(ssl_context=self._tls, network_backend=network) as pool,
                pool.stream(request.method, str(request.url), headers=request.headers.raw, content=body) as answer,
            ):
                if any(name.lower() == b"content-encoding" and value != b"identity" for name, value in answer.headers):
                    raise Compressed("not asked for")  # a little of it may become very much
                content = b"".join(_bounded(answer.iter_stream()))
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise httpx2.TimeoutException(str(error)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise httpx2.NetworkError(str(error)) from error
        return httpx2.Response(answer.status, headers=answer.headers, content=content)


def _bounded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > MAX_BYTES:
            raise TooLarge(f"more than {MAX_BYTES} bytes")
        yield chunk


class _Network(httpcore2.SyncBackend):
    """Sockets that all obey one deadline, so that dripping a byte at a time wins nothing."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore2.NetworkStream:
        if host.endswith(".localhost"):
            host = "127.0.0.1"  # RFC 6761: never asked of a name server
        kwargs["timeout"] = min(CONNECT_SECONDS, _left(self._deadline))
        return _Stream(super().connect_tcp(host, port, *args, **kwargs), self._deadline)


class _Stream(httpcore2.NetworkStream):
    def __init__(self, inner: httpcore2.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        within = min(CONNECT_SECONDS, _left(self._deadline))
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, within), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer took too long")
    return left


HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Postern"}


@contextlib.contextmanager
def conversation(what: str) -> Iterator[None]:
    """One of the few conversations with providers at a time; failures become words about `what` (its path, say).

    Raises ProviderFailed.
    """
    with turn(_conversations), _in_words(what):
        yield


@contextlib.contextmanager
def turn(held: threading.Lock | threading.Semaphore) -> Iterator[None]:
    """Hold what others may hold while they ask a provider; few wait for it, and not for long. Raises ProviderFailed."""
    if not (held.acquire(blocking=False) or _waited_for(held)):
        raise ProviderFailed("provider-busy", "too many people are signing in there at once", "try again in a moment")
    try:
        yield
    finally:
        held.release()


def _waited_for(held: threading.Lock | threading.Semaphore) -> bool:
    if not _waiting.acquire(blocking=False):
        return False
    try:
        return held.acquire(timeout=WAIT_SECONDS)
    finally:
        _waiting.release()


@contextlib.contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except httpx2.TimeoutException:
        raise ProviderFailed("provider-slow", f"the provider's {what} did not answer in time", AGAIN) from None
    except Compressed:
        raise ProviderFailed("compressed", f"the provider's {what} answered with compressed text", WRONG) from None
    except TooLarge:
        raise ProviderFailed("answer-too-large", f"the provider's {what} answered with too much", WRONG) from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        reason = reason_of(error)
        raise ProviderFailed(
            "provider-unreachable", f"the provider's {what} cannot be reached: {reason}", AGAIN
        ) from None


AGAIN = "try again in a while; if you have a password here, sign in with it"
WRONG = "ask an administrator to test the connector"


def reason_of(error: BaseException) -> str:
    """Why a connection failed, without any address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "no TLS connection could be made"
        if isinstance(cause, ConnectionRefusedError):
            return "it refused the connection"
        cause = cause.__cause__ or cause.__context__
    return "no connection"


def client(ca: str) -> httpx2.Client:
    """A client for a few requests."""
    return httpx2.Client(transport=ProviderTransport(ca), headers=HEADERS, follow_redirects=False, trust_env=False)


def json_answer(response: httpx2.Response, what: str) -> dict[str, Any]:
    """The JSON object of an answer of status 200. Raises ProviderFailed."""
    if 300 <= response.status_code < 400:
        raise ProviderFailed(
            "redirected", f"the provider's {what} answered with a redirect, which is not followed", WRONG
        )
    if response.status_code != 200:
        said = response.status_code
        raise ProviderFailed("bad-status", f"the provider's {what} answered with status {said}", AGAIN)
    return json_object(response.content, what)


def json_object(content: bytes | str, what: str) -> dict[str, Any]:
    """A JSON object without duplicate names, NaN or depths. Raises ProviderFailed."""
    try:
        value = json.loads(content, object_pairs_hook=_once, parse_constant=_refused)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProviderFailed("not-json", f"the provider's {what} did not answer with a JSON object", WRONG)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name came twice")
    return found


def _refused(constant: str) -> Any:
    raise ValueError(constant)
