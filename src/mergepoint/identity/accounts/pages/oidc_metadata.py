"""What a provider publishes about itself: endpoints and keys, fetched with bounds and kept a while.

Place:  pages.oidc -> [pages.oidc_metadata] -> the provider's discovery document and keys
Rule:   a document counts only when it names the configured issuer; failures are not remembered.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx2
from joserfc.jwk import KeySetSerialization

from mergepoint.core.clock import Clock
from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.config import Provider

LIMITS = httpx2.Timeout(5.0, connect=3.0)
"""Seconds the provider may take to connect and between two pieces of an answer."""
BODY_BYTES_MAX = 1 << 20
KEPT_S = 600.0
KEYS_AGAIN_S = 30.0
"""Unknown keys are asked for again at most this often."""


class ProviderLost(MergepointError):
    """The provider does not answer, or not with what OpenID Connect asks for."""

    code = "accounts.provider_lost"


class _Bounded(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        taken = 0
        for piece in self._stream:
            taken += len(piece)
            if taken > BODY_BYTES_MAX:
                raise httpx2.ReadError(f"the answer is longer than {BODY_BYTES_MAX} bytes")
            yield piece

    def close(self) -> None:
        self._stream.close()


def bounded(response: httpx2.Response) -> None:
    """Make reading `response` beyond `BODY_BYTES_MAX` a lost connection; a hook of the client."""
    if isinstance(response.stream, httpx2.SyncByteStream):
        response.stream = _Bounded(response.stream)


HOOKS = {"response": [bounded]}


@dataclass(frozen=True, slots=True)
class Metadata:
    """One provider's discovery document (OpenID Connect Discovery 1.0) and keys."""

    authorization: str
    token: str
    userinfo: str
    keys: KeySetSerialization
    keys_address: str
    names_itself: bool
    """Whether every answer names the issuer (RFC 9207)."""
    signing: tuple[str, ...]
    client_auths: tuple[str, ...]
    fetched_s: float

    def algorithms(self, ours: Sequence[str]) -> tuple[str, ...]:
        """Return those of `ours` that the provider signs with; RS256 when it does not say."""
        return tuple(name for name in ours if name in (self.signing or ("RS256",)))

    def client_auth(self, has_secret: bool) -> str:
        """Return how we prove who we are to the token endpoint."""
        if not has_secret:
            return "none"
        offered = self.client_auths or ("client_secret_basic",)
        return "client_secret_basic" if "client_secret_basic" in offered else "client_secret_post"


class MetadataCache:
    """Remembers what providers publish for `KEPT_S`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Metadata] = {}
        self._lock = threading.Lock()

    def of(self, provider: Provider) -> Metadata:
        """Return the provider's metadata; raise `ProviderLost`."""
        now = self._clock.monotonic_s()
        with self._lock:
            known = self._known.get(provider.name)
        if known is None or now - known.fetched_s > KEPT_S:
            known = _discover(provider, now)
            with self._lock:
                self._known[provider.name] = known
        return known

    def keys_again(self, provider: Provider) -> KeySetSerialization:
        """Return the keys, fetched anew unless that was done a moment ago."""
        known = self.of(provider)
        now = self._clock.monotonic_s()
        if now - known.fetched_s > KEYS_AGAIN_S:
            known = replace(known, keys=_keys(known.keys_address), fetched_s=now)
            with self._lock:
                self._known[provider.name] = known
        return known.keys


def _discover(provider: Provider, now: float) -> Metadata:
    document = _fetch(f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    if document.get("issuer") != provider.issuer:
        raise ProviderLost("the provider's document names another issuer than the configured one")
    keys_address = _endpoint(provider, document, "jwks_uri")
    return Metadata(
        authorization=_endpoint(provider, document, "authorization_endpoint"),
        token=_endpoint(provider, document, "token_endpoint"),
        userinfo=_endpoint(provider, document, "userinfo_endpoint", needed=False),
        keys=_keys(keys_address),
        keys_address=keys_address,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        signing=_words(document.get("id_token_signing_alg_values_supported")),
        client_auths=_words(document.get("token_endpoint_auth_methods_supported")),
        fetched_s=now,
    )


def _endpoint(
    provider: Provider, document: dict[str, Any], name: str, *, needed: bool = True
) -> str:
    """Return an address of the document; never plain HTTP when the issuer is reached by TLS."""
    address = document.get(name)
    if address is None and not needed:
        return ""
    scheme = urlsplit(provider.issuer).scheme
    if not isinstance(address, str) or not address.startswith((f"{scheme}://", "https://")):
        raise ProviderLost(f"the provider's document has no usable {name}")
    return address


def _keys(address: str) -> KeySetSerialization:
    found = _fetch(address).get("keys")
    return {
        "keys": [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []
    }


def _words(value: object) -> tuple[str, ...]:
    return tuple(str(word) for word in value) if isinstance(value, list) else ()


def _fetch(address: str) -> dict[str, Any]:
    try:
        with httpx2.Client(timeout=LIMITS, event_hooks=HOOKS) as client:
            answer = client.get(address, headers={"accept": "application/json"})
            answer.raise_for_status()
            document = answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ProviderLost(f"the provider did not answer: {type(error).__name__}") from None
    except ValueError:
        raise ProviderLost("the provider's answer is not JSON") from None
    if not isinstance(document, dict):
        raise ProviderLost("the provider's answer is not an object")
    return document
