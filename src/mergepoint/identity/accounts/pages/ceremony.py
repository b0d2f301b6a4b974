"""The two ceremonies of WebAuthn Level 3: making a passkey and using one.

Place:  pages.passkeys -> [pages.ceremony] -> webauthn, service.attempts, service.passkeys
Rule:   a challenge is kept by the server and used up by the first answer, right or wrong.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.service.attempts import Attempt, Attempts
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.passkeys import Passkey, Passkeys
from mergepoint.identity.accounts.service.person import Person

ADD, LOGIN = "passkey.add", "passkey.login"
SECOND, PROVE = "passkey.second", "passkey.prove"
LOGIN_LIFE_S = 3600.0
"""The browser's own list waits as long as the login page is open."""
TIMEOUT_MS = 300_000
_TRANSPORTS = {transport.value: transport for transport in AuthenticatorTransport}


def relying_party(settings: AccountsSettings) -> str:
    """Return the domain passkeys belong to; empty where there can be none (an IP address)."""
    host = urlsplit(settings.public_url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return ""


class Ceremony:
    """Asks the browser for a passkey and judges the answer."""

    def __init__(self, settings: AccountsSettings, attempts: Attempts, passkeys: Passkeys) -> None:
        self._site = settings.title or settings.site
        self._domain = relying_party(settings)
        self._origin = settings.public_url
        self._attempts = attempts
        self._passkeys = passkeys

    def begin_add(self, person: Person, by: Caller) -> dict[str, Any]:
        """Return what the browser needs to make a passkey that works without a user name."""
        known = self._passkeys.of(person.sub)
        options = webauthn.generate_registration_options(
            rp_id=self._domain,
            rp_name=self._site,
            user_id=person.sub.encode(),
            user_name=person.user,
            user_display_name=person.title,
            timeout=TIMEOUT_MS,
            exclude_credentials=[_descriptor(passkey) for passkey in known],
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
        )
        return self._begun(ADD, options, options.challenge, by, person.sub)

    def finish_add(self, person: Person, sent: Mapping[str, Any], name: str, by: Caller) -> Passkey:
        """Keep the passkey the browser made; raise `Refused`."""
        attempt, credential = self._sent(ADD, sent, by)
        if attempt.sub != person.sub:
            raise _refused()
        try:
            made = webauthn.verify_registration_response(
                credential=dict(credential),
                expected_challenge=_challenge(attempt),
                expected_rp_id=self._domain,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError):
            raise _refused() from None
        return self._passkeys.add(
            person.sub,
            bytes_to_base64url(made.credential_id),
            made.credential_public_key,
            by,
            name=name,
            sign_count=made.sign_count,
            transports=_transports(credential),
            backed_up=made.credential_backed_up,
        )

    def begin_use(self, purpose: str, by: Caller, person: Person | None = None) -> dict[str, Any]:
        """Return what the browser needs to use a passkey: of `person`, or of whoever has one."""
        known = self._passkeys.of(person.sub) if person else []
        options = webauthn.generate_authentication_options(
            rp_id=self._domain,
            timeout=TIMEOUT_MS,
            allow_credentials=[_descriptor(passkey) for passkey in known],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return self._begun(purpose, options, options.challenge, by, person.sub if person else None)

    def finish_use(self, purpose: str, sent: Mapping[str, Any], by: Caller) -> str:
        """Return the `sub` of the person whose passkey was used; raise `Refused`."""
        attempt, credential = self._sent(purpose, sent, by)
        passkey = self._passkeys.find(str(credential.get("id", ""))[:1400])
        if passkey is None or (attempt.sub is not None and passkey.sub != attempt.sub):
            raise _refused()
        if _owner(credential) not in {None, passkey.sub}:
            raise _refused()
        try:
            used = webauthn.verify_authentication_response(
                credential=dict(credential),
                expected_challenge=_challenge(attempt),
                expected_rp_id=self._domain,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=0,  # `used` judges the count and writes it down
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError):
            raise _refused() from None
        if not self._passkeys.used(passkey.credential_id, used.new_sign_count, by):
            raise _refused()
        return passkey.sub

    def _begun(
        self, purpose: str, options: Any, challenge: bytes, by: Caller, sub: str | None
    ) -> dict[str, Any]:
        secret = self._attempts.begin(
            purpose,
            by,
            sub=sub,
            detail={"challenge": bytes_to_base64url(challenge)},
            **({"life_s": LOGIN_LIFE_S} if purpose == LOGIN else {}),
        )
        return {"attempt": secret, "options": json.loads(webauthn.options_to_json(options))}

    def _sent(
        self, purpose: str, sent: Mapping[str, Any], by: Caller
    ) -> tuple[Attempt, Mapping[str, Any]]:
        """Return what was begun, used up now, and the credential that answers it."""
        credential = sent.get("credential")
        attempt = self._attempts.finish(str(sent.get("attempt", ""))[:64], purpose, by)
        if attempt is None or not isinstance(credential, Mapping):
            raise _refused()
        return attempt, credential


def _refused() -> Refused:
    return Refused("passkey", "this passkey was not accepted")


def _challenge(attempt: Attempt) -> bytes:
    return base64url_to_bytes(str(attempt.detail["challenge"]))


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    known = [_TRANSPORTS[name] for name in passkey.transports if name in _TRANSPORTS]
    return PublicKeyCredentialDescriptor(
        id=base64url_to_bytes(passkey.credential_id), transports=known or None
    )


def _transports(credential: Mapping[str, Any]) -> list[str]:
    response = credential.get("response")
    told = response.get("transports") if isinstance(response, Mapping) else None
    return [t for t in told if t in _TRANSPORTS] if isinstance(told, list) else []


def _owner(credential: Mapping[str, Any]) -> str | None:
    """Return the user handle the authenticator names, None when it names none."""
    response = credential.get("response")
    handle = response.get("userHandle") if isinstance(response, Mapping) else None
    if not isinstance(handle, str) or not handle:
        return None
    try:
        return base64url_to_bytes(handle).decode()
    except ValueError:
        return ""
