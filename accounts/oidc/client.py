"""The two questions to a provider behind a browser's back: a code for tokens, and who that is (UserInfo)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import quote_plus

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client

from accounts.oidc.discovery import Provider
from accounts.oidc.errors import NotBelieved, ProviderFailed
from accounts.oidc.fetching import (
    AGAIN,
    HEADERS,
    WRONG,
    ProviderTransport,
    client,
    conversation,
    json_answer,
    json_object,
)
from accounts.oidc.flow import callback_url
from broker.documents.connector_spec import OidcSpec

_OURS = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"})
"""What a token endpoint answers when the connector is set up wrongly, not when a code is bad."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a code was exchanged for. The access token lives for one request to UserInfo."""

    id_token: str = field(repr=False)
    access_token: str = field(repr=False)


def exchange(spec: OidcSpec, secret: str, provider: Provider, code: str, verifier: str) -> Tokens:
    """Exchange the code. Raises NotBelieved for a code that is none (any more), ProviderFailed for anything else."""
    with (
        conversation("token endpoint"),
        OAuth2Client(
            spec.client_id,
            secret,
            token_endpoint_auth_method=provider.client_auth if secret else "none",
            transport=ProviderTransport(spec.ca),
            follow_redirects=False,
            trust_env=False,
        ) as oauth,
    ):
        oauth.register_client_auth_method(("client_secret_basic", _basic))
        oauth.register_compliance_hook("access_token_response", _check_status)
        try:
            answer = oauth.fetch_token(
                provider.token_endpoint,
                grant_type="authorization_code",
                code=code,
                redirect_uri=callback_url(spec.name),
                code_verifier=verifier,
                headers={**HEADERS, "Content-Type": "application/x-www-form-urlencoded"},
            )
        except OAuthError as error:
            raise _refusal(str(error.error)) from None
        except (ValueError, TypeError, OverflowError):
            raise ProviderFailed(
                "not-json", "the provider's token endpoint did not answer with tokens", WRONG
            ) from None
    return _tokens(cast(Mapping[str, Any], answer))


def _check_status(response: Any) -> Any:
    """Answers that are neither tokens nor an OAuth error are failures of the provider."""
    if response.status_code not in (200, 400, 401, 403):
        json_answer(response, "token endpoint")
    json_object(response.content, "token endpoint")
    return response


def _refusal(code: str) -> ProviderFailed | NotBelieved:
    word = "".join(c for c in code if c.isascii() and (c.isalnum() or c in "_-"))[:40]
    if word in _OURS:
        hint = "an administrator has to check the client id and secret of the connector"
        return ProviderFailed("client-refused", f"the provider does not accept us as its client ({word})", hint)
    return NotBelieved(
        "code-refused", f"the provider does not accept the code it gave ({word or 'error'})", "sign in again"
    )


def _tokens(answer: Mapping[str, Any]) -> Tokens:
    id_token, access_token = answer.get("id_token"), answer.get("access_token")
    if not isinstance(id_token, str) or not isinstance(access_token, str) or not access_token:
        raise ProviderFailed("no-id-token", "the provider's token endpoint answered without an ID token", WRONG)
    if str(answer.get("token_type", "")).lower() != "bearer":
        raise ProviderFailed("wrong-token-type", "the provider gave a token of an unknown type", WRONG)
    return Tokens(id_token, access_token)


def _basic(auth: Any, method: str, uri: str, headers: Any, body: str) -> tuple[str, Any, str]:
    """Client id and secret as RFC 6749, 2.3.1 wants them: form-encoded first."""
    pair = f"{quote_plus(auth.client_id)}:{quote_plus(auth.client_secret)}"
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return uri, headers, body


def userinfo(spec: OidcSpec, provider: Provider, tokens: Tokens, subject: str) -> Mapping[str, Any]:
    """What UserInfo says about `subject`. Raises NotBelieved if it speaks of somebody else, ProviderFailed."""
    with conversation("UserInfo endpoint"), client(spec.ca) as http:
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        answer = http.get(provider.userinfo_endpoint, headers=headers)
    if not answer.headers.get("Content-Type", "").lower().startswith("application/json"):
        raise ProviderFailed("not-json", "the provider's UserInfo endpoint did not answer with JSON", AGAIN)
    claims = json_answer(answer, "UserInfo endpoint")
    if claims.get("sub") != subject:
        raise NotBelieved("other-userinfo", "the provider's UserInfo speaks of somebody else", "sign in again")
    return claims
