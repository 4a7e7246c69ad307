"""The broker's JSON API over the standard library's HTTP client.

No redirects, no proxies, TLS verified, credentials never over plain HTTP except to this machine. `*.localhost` is this
machine whatever the resolver thinks (RFC 6761).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode, urlsplit

from postern import names
from postern.errors import CliError, Denied, LoginNeeded, Missing, Refused, Unreachable, UsageProblem

TIMEOUT = 15.0
MAX_ANSWER = 64 * 1024 * 1024
USER_AGENT = "postern-cli/0.1"
CLOCK_OFF = "clock-off"
"""The reason for which a request is refused that is good but for its time."""


class Response(NamedTuple):
    """An answer: `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def checked_url(text: str) -> str:
    """The broker's address in its one spelling: scheme, host and perhaps port. Raises `UsageProblem`."""
    text = text.strip()
    if not text.isprintable() or " " in text:
        raise UsageProblem(f"{text!r} is not an address", "write it like https://access.example.com")
    if "://" not in text:
        host = text.partition("/")[0].rpartition(":")[0] or text.partition("/")[0]
        text = ("http://" if names.is_loopback(host.strip("[]")) else "https://") + text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UsageProblem(f"{text!r} is not an address", "write it like https://access.example.com") from None
    if parts.scheme not in ("http", "https") or not names.is_address(host) or parts.username is not None:
        raise UsageProblem(f"{text!r} is not the address of a broker", "write it like https://access.example.com")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise UsageProblem(f"{text!r} says more than a host", "leave out what follows the host and port")
    if parts.scheme == "http" and not names.is_loopback(host):
        raise UsageProblem(f"will not send credentials to {host} over plain http", f"use https://{parts.netloc}")
    shown = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{shown}" + (f":{port}" if port and port != default else "")


class _Plain(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = _dial(self.host, self.port, self.timeout)


class _Secure(http.client.HTTPSConnection):
    def connect(self) -> None:
        context = tls_context()
        self.sock = context.wrap_socket(_dial(self.host, self.port, self.timeout), server_hostname=self.host)


def _dial(host: str, port: int, timeout: float | None) -> socket.socket:
    """A connection; names under `localhost` are dialled on the loopback addresses without asking a resolver."""
    problem: OSError | None = None
    for address in names.LOOPBACK if names.is_loopback(host) and host.rstrip(".").endswith("localhost") else (host,):
        try:
            return socket.create_connection((address, port), timeout)
        except OSError as error:
            problem = problem or error
    raise problem or OSError("no address")


def tls_context() -> Any:
    """What TLS is verified with: the system's authorities, or only those in the file POSTERN_CA_FILE names."""
    import ssl

    file = os.environ.get("POSTERN_CA_FILE") or None
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ssl.SSLError) as error:
        raise CliError(f"cannot read the certificate authorities in {file}: {error}", "see POSTERN_CA_FILE") from None


def exchange(
    url: str,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] = {},
    body: bytes | None = None,
    timeout: float = TIMEOUT,
) -> Response:
    """One HTTP exchange with the host of `url`; raises `Unreachable` in words."""
    parts = urlsplit(url)
    kind: type[_Plain] | type[_Secure] = _Secure if parts.scheme == "https" else _Plain
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(method, target, body=body, headers={"User-Agent": USER_AGENT, **headers})
        answer = connection.getresponse()
        data = answer.read(MAX_ANSWER + 1)
        found = Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, data)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"cannot reach {url}: {_words(error)}", _reach_hint(url, error)) from None
    finally:
        connection.close()
    if len(data) > MAX_ANSWER:
        raise CliError(f"the answer of {url} is too large")
    return found


def _words(error: Exception) -> str:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        return f"its certificate is not trusted: {why[:1].lower()}{why[1:]}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error).lower() or type(error).__name__


def _reach_hint(url: str, error: Exception) -> str:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return "if the broker has a private authority, name its file in POSTERN_CA_FILE"
    if names.is_loopback(urlsplit(url).hostname or ""):
        return "is the broker running on this machine? start it with: bin/run"
    return "check the address and the network, then try again"


class Prover(Protocol):
    """A key that signs each request that its token is sent with."""

    def proof(self, method: str, address: str, token: str = "") -> str:
        """The value of the header `DPoP` for one request."""


class Broker:
    """The API of one broker, called with one token and the key it is bound to (neither: nobody)."""

    def __init__(self, url: str, token: str = "", key: Prover | None = None, timeout: float = TIMEOUT) -> None:
        self.url = url
        self.token = token
        self.key = key
        self.timeout = timeout

    def get(self, *path: str, **query: object) -> Any:
        return self._call("GET", path, query)

    def post(self, *path: str, body: object = None, **query: object) -> Any:
        return self._call("POST", path, query, {} if body is None else body)

    def delete(self, *path: str, **query: object) -> Any:
        return self._call("DELETE", path, query)

    def items(self, *path: str, at_most: int = 100_000, **query: object) -> list[Any]:
        """All items of a paged list, following `next`."""
        found: list[Any] = []
        cursor: object = None
        while True:
            page = self.get(*path, **query, cursor=cursor)
            found += page["items"]
            cursor = page.get("next")
            if not cursor or len(found) >= at_most:
                return found[:at_most]

    def ping(self) -> None:
        """Raise `Unreachable` if nobody answers there at all."""
        exchange(self.url, "GET", "/healthz", timeout=self.timeout)

    def _call(self, method: str, path: tuple[str, ...], query: Mapping[str, object], body: object = None) -> Any:
        """One call; once more where the person lifts a denial by their second factor."""
        try:
            return self._once(method, path, query, body)
        except Denied as denied:
            if denied.confirm is None:
                raise
            from postern import step_up

            step_up.lift(self, denied, _purpose(method, path, body))
        return self._once(method, path, query, body)

    def _once(self, method: str, path: tuple[str, ...], query: Mapping[str, object], body: object = None) -> Any:
        address = "/api/v1/" + "/".join(quote(part, safe="") for part in path)
        given = {name: value for name, value in query.items() if value not in (None, "")}
        target = f"{address}?{urlencode(given)}" if given else address
        headers = {"Accept": "application/json"}
        if self.key is not None:
            headers["Authorization"] = f"DPoP {self.token}"
            headers["DPoP"] = self.key.proof(method, self.url + address, self.token)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return answer_of(self.url, exchange(self.url, method, target, headers=headers, body=data, timeout=self.timeout))


def _purpose(method: str, path: tuple[str, ...], body: object) -> str:
    """What a call is for, as the person is told where they confirm it."""
    said = body if isinstance(body, dict) else {}
    match path:
        case ("certificates", "access"):
            return f"log in as {said.get('login')} on {said.get('server')}"
        case ("app-tokens",):
            return f"get a token for {said.get('app')}"
        case _:
            return f"{method} {'/'.join(path)}"


def answer_of(url: str, response: Response) -> Any:
    """The JSON of a good answer; raises what a bad one means."""
    if response.status >= 300:
        raise problem_of(url, response)
    if not response.body:
        return None
    try:
        return json.loads(response.body)
    except ValueError:
        raise CliError(f"{url} does not answer like a broker", "check the address: postern login URL") from None


def problem_of(url: str, response: Response) -> CliError:
    """A failure in words, from problem+json (RFC 9457) or whatever else came."""
    problem = _problem_document(response)
    request_id = str(problem.get("request_id") or response.headers.get("x-request-id") or "")
    words = str(problem.get("detail") or problem.get("title") or "")
    hint = str(problem.get("hint") or "")
    match response.status:
        case 401 if CLOCK_OFF in _names(problem):
            return CliError(words, hint, request_id=request_id)
        case 401:
            return LoginNeeded("not signed in any more", "run: postern login", request_id)
        case 403:
            ways = problem.get("confirm")
            confirm = ways if isinstance(ways, dict) else None
            return Denied(words or "access denied", hint, _reasons(problem), request_id, confirm)
        case 404:
            return Missing(words or "no such thing, or it is not yours", hint, request_id=request_id)
        case 429:
            wait = response.headers.get("retry-after", "")
            return CliError(words or "too many tries", f"wait {wait} s and try again" if wait else hint, (), request_id)
        case status if 300 <= status < 400:
            place = response.headers.get("location", "elsewhere")
            return CliError(f"{url} sends us to {place}", "sign in at the broker's own address: postern login URL")
        case status if 400 <= status < 500 and problem:
            return Refused(words or f"the broker refused this ({status})", hint, _problems(problem), request_id)
        case status:
            return CliError(
                words or f"{url} answered {status}",
                hint or "try again; if it stays so, tell an administrator the request id",
                (),
                request_id,
            )


def _problem_document(response: Response) -> dict[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        document = json.loads(response.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _names(problem: Mapping[str, Any]) -> list[str]:
    """The stable names of the reasons."""
    return [str(reason.get("reason")) for reason in problem.get("reasons") or [] if isinstance(reason, dict)]


def _reasons(problem: Mapping[str, Any]) -> list[str]:
    """Each reason's stable name, with its words where they say more than the name and the detail do."""
    found = []
    for reason in problem.get("reasons") or []:
        if isinstance(reason, dict) and reason.get("reason"):
            name, text = str(reason["reason"]), str(reason.get("text") or "")
            known = text in ("", problem.get("detail"), name.replace("-", " "))
            found.append(name if known else f"{text} ({name})")
    return found


def _problems(problem: Mapping[str, Any]) -> list[str]:
    found = [each for each in problem.get("problems") or [] if isinstance(each, dict)]
    if len(found) == 1 and str(found[0].get("message") or "-") in str(problem.get("detail") or ""):
        return []  # the detail is that one problem
    return [problem_line(each) for each in found]


def problem_line(problem: Mapping[str, Any]) -> str:
    """`FILE:LINE: PATH: message (hint)`, leaving out what is not known."""
    source, line = problem.get("source") or "", problem.get("line") or 0
    where = f"{source or 'input'}:{line}: " if line else (f"{source}: " if source else "")
    path = f"{problem['path']}: " if problem.get("path") else ""
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return f"{where}{path}{problem.get('message', 'wrong')}{hint}"
