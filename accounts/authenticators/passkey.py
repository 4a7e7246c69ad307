"""Passkeys and security keys (WebAuthn Level 3): options for the browser, and what it answers, checked.

py_webauthn does the cryptography. Every ceremony wants the user verified (PIN, finger, face), so that a passkey is two
factors at once; no attestation is asked for, so the make of a key proves nothing here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_otp_webauthn.models import WebAuthnUserHandle
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import bytes_to_base64url, options_to_json_dict
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from accounts.models import Passkey, User
from broker.tokens import same

HARDWARE, SOFTWARE = "hwk", "swk"
AMR = frozenset({HARDWARE, SOFTWARE})
"""RFC 8176: a key that cannot leave its device, and one that may be synchronised to others."""

VERIFIED = "user"
"""RFC 8176: the user was there. In the `amr` of a sign-in by a passkey alone."""

LONGEST = 32_768
"""Characters of an answer; a real one has less than 4,000."""

TIMEOUT_MS = 240_000
"""How long a browser waits for its user: less than a challenge lives."""

_BASE64URL = re.compile(r"[0-9A-Za-z_-]*")
_TRANSPORTS = frozenset({"usb", "nfc", "ble", "smart-card", "hybrid", "internal"})


class NotAccepted(Exception):
    """An answer that proves nothing. `why` is a stable name for the log; people hear the same words for all."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Cloned(NotAccepted):
    """A right answer whose counter went backwards: the key has probably been copied."""

    def __init__(self, used: Passkey, given: int) -> None:
        super().__init__("cloned")
        self.used, self.given = used, given


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser sent, read but not believed: the credential, and the challenge it says it answers."""

    credential: dict[str, Any]
    credential_id: bytes
    challenge: str
    user_handle: bytes
    transports: tuple[str, ...]
    discoverable: bool | None


def amr_of(credential: Passkey) -> str:
    """What a credential counts as in `amr`."""
    return SOFTWARE if credential.backup_eligible else HARDWARE


def kind_of(credential: Passkey) -> str:
    """What people would call it: `synchronised`, `this device`, `phone` or `security key`."""
    if credential.backup_eligible:
        return "synchronised"
    if "internal" in credential.transports:
        return "this device"
    return "phone" if "hybrid" in credential.transports else "security key"


def origin() -> str:
    """The one origin whose answers count, as browsers write it. An app below our host name is another origin."""
    parts = urlsplit(settings.POSTERN.url)
    usual = {"https": 443, "http": 80}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname}{port}"


def registration_options(user: User, challenge: bytes) -> dict[str, Any]:
    """What `navigator.credentials.create()` is asked for; keys that `user` has already are left out."""
    options = generate_registration_options(
        rp_id=settings.POSTERN.host,
        rp_name=settings.POSTERN.name,
        user_name=user.username,
        user_display_name=user.display_name,
        user_id=WebAuthnUserHandle.get_handle_for_user(user),  # random: says nothing about who it is
        challenge=challenge,
        timeout=TIMEOUT_MS,
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            # not required: a security key without room for passkeys is still a good second factor
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=Passkey.get_credential_descriptors_for_user(user),
    )
    return {**options_to_json_dict(options), "extensions": {"credProps": True}}


def request_options(challenge: bytes, user: User | None) -> dict[str, Any]:
    """What `navigator.credentials.get()` is asked for: a key of `user`, or any passkey that knows whose it is."""
    options = generate_authentication_options(
        rp_id=settings.POSTERN.host,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        user_verification=UserVerificationRequirement.REQUIRED,
        allow_credentials=Passkey.get_credential_descriptors_for_user(user) if user else [],
    )
    return options_to_json_dict(options)


def read(text: str) -> Answer:
    """The answer in `text`. Raises NotAccepted (`malformed`)."""
    try:
        if len(text) > LONGEST:
            raise ValueError("too long")
        credential = json.loads(text)
        response = credential["response"]
        said = json.loads(_bytes(response["clientDataJSON"]))
        challenge, handle = said["challenge"], response.get("userHandle")
        named = response.get("transports")
        extensions = credential.get("clientExtensionResults")
        if not isinstance(challenge, str) or said.get("crossOrigin") or said.get("topOrigin"):
            raise ValueError("not asked for by a page of ours")
        return Answer(
            credential=credential,
            credential_id=_bytes(credential["rawId"]),
            challenge=challenge,
            user_handle=b"" if handle is None else _bytes(handle),
            transports=tuple(sorted(_TRANSPORTS.intersection(named))) if isinstance(named, list) else (),
            discoverable=_discoverable(extensions),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise NotAccepted("malformed") from None


def registered(user: User, challenge: bytes, answer: Answer) -> Passkey:
    """The new credential, not yet stored. Raises NotAccepted."""
    try:
        verified = verify_registration_response(
            credential=answer.credential,
            expected_challenge=challenge,
            expected_rp_id=settings.POSTERN.host,
            expected_origin=origin(),
            require_user_verification=True,
        )
    except Exception:
        # whatever the library stumbles over in somebody's bytes is a refusal, and not always of its own kind
        raise NotAccepted("not-verified") from None
    if len(verified.credential_id) > 1023:
        raise NotAccepted("malformed")
    return Passkey(
        user=user,
        aaguid=verified.aaguid,
        credential_id=verified.credential_id,
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        transports=list(answer.transports),
        discoverable=answer.discoverable,
        backup_eligible=verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
        backup_state=verified.credential_backed_up,
    )


@transaction.atomic
def use(challenge: bytes, answer: Answer, user: User | None) -> Passkey:
    """The credential that made this answer, of `user` if one is given; its row is locked. Raises NotAccepted.

    Nobody given: the answer itself must say whose it is. A disabled user's passkey is as unknown as nobody's.
    """
    found = _locked(answer.credential_id)
    if found is None or not found.user.is_active or found.user.kind != User.Kind.PERSON:
        raise NotAccepted("unknown")
    if user is not None and found.user_id != user.pk:
        raise NotAccepted("somebody-elses")
    if answer.user_handle or user is None:
        expected = WebAuthnUserHandle.get_handle_for_user(found.user)
        if not same(answer.user_handle.hex(), expected.hex()):
            raise NotAccepted("somebody-elses")
    try:
        verified = verify_authentication_response(
            credential=answer.credential,
            expected_challenge=challenge,
            expected_rp_id=settings.POSTERN.host,
            expected_origin=origin(),
            credential_public_key=bytes(found.public_key),
            credential_current_sign_count=0,  # compared below, once the signature is known to be right
            require_user_verification=True,
        )
    except Exception:
        raise NotAccepted("not-verified") from None
    if (verified.credential_device_type == CredentialDeviceType.MULTI_DEVICE) != found.backup_eligible:
        raise NotAccepted("changed")  # what a key may do is fixed when it is made (WebAuthn 7.2, step 18)
    count = verified.new_sign_count
    if (count or found.sign_count) and count <= found.sign_count:
        raise Cloned(found, count)
    found.sign_count, found.backup_state, found.last_used_at = count, verified.credential_backed_up, timezone.now()
    found.save(update_fields=["sign_count", "backup_state", "last_used_at"])
    return found


def encoded(challenge: bytes) -> str:
    """A challenge as browsers repeat it."""
    return bytes_to_base64url(challenge)


def _bytes(text: Any) -> bytes:
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    return base64url_to_bytes(text)


def _locked(credential_id: bytes) -> Passkey | None:
    digest = Passkey.get_credential_id_sha256(credential_id)
    rows = Passkey.objects.select_for_update(of=("self",)).select_related("user")
    found: Passkey | None = rows.filter(credential_id_sha256=digest, confirmed=True).first()
    return found


def _discoverable(extensions: Any) -> bool | None:
    """The browser's hint whether the key can be found without a name; nothing is decided by it."""
    properties = extensions.get("credProps") if isinstance(extensions, dict) else None
    hint = properties.get("rk") if isinstance(properties, dict) else None
    return hint if isinstance(hint, bool) else None
