"""Log in at an OpenID Connect provider: authorization code with PKCE (RFC 7636), by Authlib.

Place:  pages.provider -> [pages.oidc] -> pages.oidc_metadata, the provider
Rule:   what comes back counts only when state, nonce, issuer, audience, key and times are right.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from mergepoint.core.clock import Clock
from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.config import Provider
from mergepoint.identity.accounts.pages.oidc_metadata import (
    HOOKS,
    LIMITS,
    Metadata,
    MetadataCache,
    ProviderLost,
)

SKEW_S = 60
"""How far the provider's clock may differ from ours."""
AGAIN_S = 300
"""How old a login may be that was asked for anew."""
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
"""Signatures with a public key only; `none` and shared secrets never count."""
GROUPS_MAX = 200


class ProviderRefused(MergepointError):
    """The provider did not log the person in, or the person went back."""

    code = "accounts.provider_refused"


class ProviderInvalid(MergepointError):
    """What the provider sent cannot be trusted: nobody is logged in by it."""

    code = "accounts.provider_invalid"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody the provider vouches for; `email` is empty unless the provider verified it."""

    provider: str
    subject: str
    email: str
    name: str
    user: str
    groups: tuple[str, ...]
    auth_s: float


class OpenIdClient:
    """One client for all providers of a site; safe to use from many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._metadata = MetadataCache(clock)

    def begin(
        self, provider: Provider, redirect_uri: str, *, again: bool = False
    ) -> tuple[str, dict[str, Any]]:
        """Return the address to send the browser to and what `finish` needs to know.

        `again` asks the provider for a fresh login. Raise `ProviderLost` when it does not answer.
        """
        metadata = self._metadata.of(provider)
        kept: dict[str, Any] = {
            "provider": provider.name,
            "state": secrets.token_urlsafe(24),
            "nonce": secrets.token_urlsafe(24),
            "verifier": secrets.token_urlsafe(48),
            "redirect_uri": redirect_uri,
            "again": again,
        }
        extra = {"prompt": "login", "max_age": "0"} if again else {}
        with self._client(provider, metadata, redirect_uri) as client:
            address, _ = client.create_authorization_url(
                metadata.authorization,
                state=kept["state"],
                code_verifier=kept["verifier"],
                nonce=kept["nonce"],
                **extra,
            )
        return str(address), kept

    def finish(
        self, provider: Provider, kept: Mapping[str, Any], answer: Mapping[str, str]
    ) -> Visitor:
        """Return who came back.

        Raise `ProviderRefused`, `ProviderInvalid`, or `ProviderLost`. The state is compared before
        anything else is believed.
        """
        metadata = self._metadata.of(provider)
        code = _code(provider, metadata, kept, answer)
        with self._client(provider, metadata, str(kept["redirect_uri"])) as client:
            token = _exchange(client, metadata, code, str(kept["verifier"]))
            claims = self._claims(provider, token, str(kept["nonce"]))
            more = _userinfo(client, metadata, str(claims["sub"]))
        now = self._clock.unix_s()
        if kept.get("again") and not _is_fresh(claims.get("auth_time"), now):
            raise ProviderInvalid("the provider did not ask for the login again")
        return _visitor(provider, {**more, **claims}, now)

    def _client(self, provider: Provider, metadata: Metadata, redirect_uri: str) -> OAuth2Client:
        return OAuth2Client(
            client_id=provider.client_id,
            client_secret=provider.client_secret or None,
            token_endpoint_auth_method=metadata.client_auth(bool(provider.client_secret)),
            scope=" ".join(provider.scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=LIMITS,
            follow_redirects=False,
            event_hooks=HOOKS,
        )

    def _claims(self, provider: Provider, token: Mapping[str, Any], nonce: str) -> dict[str, Any]:
        """Return the claims of the ID token once all of it holds (OpenID Core 3.1.3.7)."""
        metadata = self._metadata.of(provider)
        registry = JWSRegistry(
            algorithms=list(metadata.algorithms(ALGORITHMS)), strict_check_header=False
        )
        try:
            text = str(token["id_token"])
            try:
                signed = jwt.decode(text, KeySet.import_key_set(metadata.keys), registry=registry)
            except InvalidKeyIdError:
                # The provider has new keys; they are asked for once.
                keys = self._metadata.keys_again(provider)
                signed = jwt.decode(text, KeySet.import_key_set(keys), registry=registry)
            claims = CodeIDToken(
                signed.claims,
                signed.header,
                {
                    "iss": {"essential": True, "value": provider.issuer},
                    "aud": {"essential": True, "value": provider.client_id},
                    "nonce": {"essential": True, "value": nonce},
                },
                {
                    "nonce": nonce,
                    "client_id": provider.client_id,
                    "access_token": token.get("access_token"),
                },
            )
            claims.validate(now=int(self._clock.unix_s()), leeway=SKEW_S)
        except (KeyError, ValueError, TypeError, JoseError, AuthlibBaseError) as error:
            raise ProviderInvalid(f"the ID token was refused: {type(error).__name__}") from None
        return dict(claims)


def _code(
    provider: Provider, metadata: Metadata, kept: Mapping[str, Any], answer: Mapping[str, str]
) -> str:
    """Return the code of an answer that is ours (state, RFC 6749 10.12; issuer, RFC 9207)."""
    if not hmac.compare_digest(answer.get("state", "").encode(), str(kept["state"]).encode()):
        raise ProviderInvalid("the state of the answer is not ours")
    named = answer.get("iss")
    if (named is not None or metadata.names_itself) and named != provider.issuer:
        raise ProviderInvalid("the answer names another issuer")
    if "error" in answer:
        raise ProviderRefused(f"the provider said {answer['error'][:64]}")
    code = answer.get("code", "")
    if not code:
        raise ProviderInvalid("the answer has no code")
    return code


def _exchange(client: OAuth2Client, metadata: Metadata, code: str, verifier: str) -> dict[str, Any]:
    try:
        token = client.fetch_token(
            metadata.token, grant_type="authorization_code", code=code, code_verifier=verifier
        )
    except AuthlibBaseError as error:
        raise ProviderRefused(f"the code was not accepted: {str(error.error)[:64]}") from None
    except httpx2.HTTPError as error:
        raise ProviderLost(f"the provider did not answer: {type(error).__name__}") from None
    except ValueError:
        raise ProviderInvalid("the answer to the code is not JSON") from None
    return dict(token)


def _userinfo(client: OAuth2Client, metadata: Metadata, subject: str) -> dict[str, Any]:
    """Return what else the provider tells; only of the same subject (OpenID Core 5.3.2)."""
    if not metadata.userinfo:
        return {}
    try:
        answer = client.get(metadata.userinfo)
        answer.raise_for_status()
        told = answer.json()
    except (httpx2.HTTPError, AuthlibBaseError) as error:
        raise ProviderLost(f"the provider did not answer: {type(error).__name__}") from None
    except ValueError:
        return {}
    if not isinstance(told, dict):
        return {}
    if told.get("sub") != subject:
        raise ProviderInvalid("the provider told about somebody else")
    return told


def _is_fresh(auth_time: object, now: float) -> bool:
    return isinstance(auth_time, int | float) and now - auth_time <= AGAIN_S + SKEW_S


def _visitor(provider: Provider, claims: Mapping[str, Any], now: float) -> Visitor:
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise ProviderInvalid("the provider's subject is no text of 1 to 255 characters")
    told = claims.get(provider.groups_claim) if provider.groups_claim else None
    groups = [told] if isinstance(told, str) else told if isinstance(told, list) else []
    auth_time = claims.get("auth_time")
    return Visitor(
        provider=provider.name,
        subject=subject,
        email=_text(claims, "email", 254) if claims.get("email_verified") is True else "",
        name=_text(claims, "name", 128),
        user=_text(claims, "preferred_username", 64),
        groups=tuple(str(group) for group in groups[:GROUPS_MAX] if isinstance(group, str)),
        auth_s=min(float(auth_time), now) if isinstance(auth_time, int | float) else now,
    )


def _text(claims: Mapping[str, Any], name: str, longest: int) -> str:
    value = claims.get(name)
    return value[:longest] if isinstance(value, str) else ""
