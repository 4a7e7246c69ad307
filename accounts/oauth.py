"""OAuth 2 for one public client, `postern-cli`: authorization code (RFC 6749) with PKCE S256 (RFC 7636), on authlib.

The CLI listens on a loopback port of its choice (RFC 8252); where it cannot, the code is shown to be pasted. Code and
token are bound to a key of the CLI's (DPoP, RFC 9449): the code to the one it names in advance, the token to the same.
"""

from __future__ import annotations

import hmac
import re
from typing import Any

from authlib.integrations.django_oauth2.requests import DjangoOAuth2Payload
from authlib.oauth2 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.utils import timezone

from accounts import dpop, proofs_seen
from accounts.middleware import origin_of
from accounts.models import LoginSession, OAuthCode, User
from accounts.requests import Request
from accounts.services.cli_sessions import find_code, start_cli_session, write_code

CLIENT_ID = "postern-cli"
AUTHORIZE, TOKEN, PASTE = "/oauth/authorize", "/oauth/token", "/oauth/code"
NO_PROOF = "the request carries no good proof of the key that the token is to be bound to (RFC 9449)"
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|localhost|\[::1\]):([1-9][0-9]{0,4})/callback")


def is_loopback(uri: str) -> bool:
    """Whether a redirect leads to a program on the person's own machine."""
    match = _LOOPBACK.fullmatch(uri)
    return match is not None and int(match[2]) <= 65_535


def is_paste(uri: str) -> bool:
    """Whether the code is to be shown instead of sent."""
    return uri == settings.POSTERN.url + PASTE


class Cli:
    """The client, in authlib's terms: public, without scopes."""

    client_id = CLIENT_ID

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return is_loopback(redirect_uri) or is_paste(redirect_uri)

    def get_default_redirect_uri(self) -> None:
        return None

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"

    def get_allowed_scope(self, scope: str | None) -> str:
        return ""


class OAuthRequest(OAuth2Request):  # type: ignore[misc]  # authlib is untyped
    """A Django request for authlib. `login_session` is the session of the browser."""

    def __init__(self, request: Request) -> None:
        # authlib wants https in the address; whether ours is secure was settled when the settings were read
        super().__init__(method=request.method, uri=f"https://broker{request.path}", headers=request.headers)
        self.payload = DjangoOAuth2Payload(request)
        self.request = request

    @property
    def args(self) -> Any:
        return self.request.GET

    @property
    def form(self) -> Any:
        return self.request.POST


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # authlib is untyped
    """Codes kept as hashes, bound to the browser's login session."""

    TOKEN_ENDPOINT_AUTH_METHODS = ["none"]

    def save_authorization_code(self, code: str, request: OAuthRequest) -> None:
        """Nothing: `generate_authorization_code` has stored it."""

    def generate_authorization_code(self) -> str:
        django_request, data = self.request.request, self.request.payload.data
        return write_code(
            django_request.origin,
            django_request.login_session,
            client_id=CLIENT_ID,
            redirect_uri=data["redirect_uri"],
            code_challenge=data["code_challenge"],
            key_thumbprint=data["dpop_jkt"],
            device_name=device_name(django_request),
        )

    def query_authorization_code(self, code: str, client: Cli) -> OAuthCode | None:
        return find_code(self.request.request.origin, code, client.client_id)

    def authenticate_user(self, authorization_code: OAuthCode) -> User:
        return authorization_code.login_session.user

    def delete_authorization_code(self, authorization_code: OAuthCode) -> None:
        """Nothing: it is kept, marked as used, so that a second use is noticed."""


class S256Only(CodeChallenge):  # type: ignore[misc]  # authlib is untyped
    """PKCE, required from the first step, never `plain`."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: CodeGrant, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE with S256 is required")
        super().validate_code_challenge(grant, redirect_uri)


class InvalidProof(OAuth2Error):  # type: ignore[misc]  # authlib is untyped
    """The token request proves no key."""

    error = "invalid_dpop_proof"


class BoundToKey:
    """DPoP, required from the first step: the code is for one key (RFC 9449, 10), and so is the token (5)."""

    def __call__(self, grant: CodeGrant) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self.key_is_named)
        grant.register_hook("after_validate_token_request", self.key_is_proved)

    def key_is_named(self, grant: CodeGrant, redirect_uri: str) -> None:
        """The authorization request says which key its code is for."""
        named = grant.request.payload.datalist.get("dpop_jkt", [])
        if len(named) != 1 or not dpop.is_thumbprint(named[0]):
            raise InvalidRequestError("dpop_jkt must name the key that the code is for (RFC 9449, 10)")

    def key_is_proved(self, grant: CodeGrant, result: None) -> None:
        """The token request is signed with that key, here and now."""
        request: Request = grant.request.request
        now = timezone.now().timestamp()
        asked = dpop.Asked(request.method or "", settings.POSTERN.url, request.path)
        proof = dpop.check(request.headers.get("DPoP", ""), asked, now)
        if isinstance(proof, dpop.BadProof):
            raise InvalidProof(dpop.clock_words(proof.clock_off) if proof.clock_off else NO_PROOF)
        if not hmac.compare_digest(proof.thumbprint, grant.request.authorization_code.key_thumbprint):
            raise InvalidGrantError("this code is for another key")
        if not proofs_seen.first_use(proof, now):
            raise InvalidProof(NO_PROOF)


class Server(AuthorizationServer):  # type: ignore[misc]  # authlib is untyped
    """authlib's server on Django and our models."""

    def query_client(self, client_id: str) -> Cli | None:
        return Cli() if client_id == CLIENT_ID else None

    def create_oauth2_request(self, request: Request) -> OAuthRequest:
        return OAuthRequest(request)

    def generate_token(self, *args: object, **kwargs: object) -> dict[str, Any]:
        return {"token_type": "DPoP"}

    def save_token(self, token: dict[str, Any], request: OAuthRequest) -> LoginSession:
        """Make the login session and complete the answer: its token leaves us here and nowhere else."""
        code: OAuthCode = request.authorization_code
        parent = code.login_session
        origin = origin_of(request.request, parent)
        session, access_token = start_cli_session(origin, code, request.headers.get("User-Agent", ""))
        seconds = int((session.expires_at - session.created_at).total_seconds())
        token.update(access_token=access_token, expires_in=seconds, user=parent.user.username)
        return session

    def handle_response(self, status: int, body: Any, headers: Any) -> HttpResponse:
        response = JsonResponse(body, status=status) if isinstance(body, dict) else HttpResponse(body, status=status)
        for name, value in headers:
            response.headers[name] = value
        return response

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens: services record events."""


def device_name(request: Request) -> str:
    """What the CLI calls the machine it runs on, printable and short; shown to the person who confirms."""
    given = request.GET.get("device_name", "")[:100]
    return "".join(c if c.isprintable() else " " for c in given).strip() or "a terminal"


server = Server()
server.register_grant(CodeGrant, [S256Only(required=True), BoundToKey()])
