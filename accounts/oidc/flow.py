"""A browser's way to a provider and back. Nonce and PKCE verifier follow from the state under a key of ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from authlib.common.urls import add_params_to_qs
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from django.conf import settings

from accounts.oidc.discovery import Provider
from broker.documents.connector_spec import OidcSpec
from broker.keystore import ring


@dataclass(frozen=True, slots=True)
class Secrets:
    """What belongs to one state and is stored nowhere."""

    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


def secrets_of(state: str) -> Secrets:
    """Nonce and PKCE verifier of a state, 256 bits each; the same for as long as the key ring lives."""
    key = ring().derive("oidc-flow")

    def derived(what: str) -> str:
        made = hmac.new(key, f"{what}:{state}".encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()

    return Secrets(derived("nonce"), derived("verifier"))


def callback_url(name: str) -> str:
    """The redirect URI of a connector: one of its own, so that no provider can answer for another (RFC 9207)."""
    return f"{settings.POSTERN.url}/oidc/{name}/callback"


def signed_out_url() -> str:
    """Where providers send browsers after signing them out there."""
    return f"{settings.POSTERN.url}/sign-in"


def authorization_url(spec: OidcSpec, provider: Provider, state: str, *, anew: bool = False) -> str:
    """Where the browser goes. `anew`: the person must sign in there again, whatever session they have.

    Where the provider's second factor counts we ask for its time: it must say `auth_time` if asked for a `max_age`.
    """
    made = secrets_of(state)
    asked = {
        "response_type": "code",
        "client_id": spec.client_id,
        "redirect_uri": callback_url(spec.name),
        "scope": " ".join(spec.scopes),
        "state": state,
        "nonce": made.nonce,
        "code_challenge": create_s256_code_challenge(made.verifier),
        "code_challenge_method": "S256",
    }
    if spec.acr_values:
        asked["acr_values"] = " ".join(spec.acr_values)
    if anew:
        asked |= {"prompt": "login", "max_age": "0"}
    elif spec.second_factor is not None:
        asked["max_age"] = str(int(settings.POSTERN.session_max))
    return _with(provider.authorization_endpoint, asked)


def sign_out_url(spec: OidcSpec, provider: Provider, id_token: str) -> str:
    """Where the browser goes to sign out at the provider (RP-Initiated Logout 1.0), to come back to our sign-in page.

    A link and no form: a provider's cookies are often `SameSite=Lax`, and do not come along with another site's form.
    """
    asked = {"id_token_hint": id_token} if id_token else {}
    back = {"client_id": spec.client_id, "post_logout_redirect_uri": signed_out_url()}
    return _with(provider.end_session_endpoint, asked | back)


def _with(endpoint: str, asked: dict[str, str]) -> str:
    parts = urlsplit(endpoint)
    return urlunsplit(parts._replace(query=add_params_to_qs(parts.query, list(asked.items()))))
