"""Random ids and secrets, and the one way they are written down.

Place:  [service.proofs] -> sessions, tokens, links, attempts
Rule:   secrets have 256 bits, so their SHA-256 needs neither salt nor cost.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string

TOKEN_PREFIX = "mpt"  # noqa: S105 - how every token begins, not one of them
_TOKEN = re.compile(r"mpt_([a-z0-9]{12})_([A-Za-z0-9.-]{43})")
_REFRESH = re.compile(r"([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")
_ALPHABET = string.ascii_lowercase + string.digits


def new_id() -> str:
    """Return 128 random bits as 22 characters of base64url."""
    return secrets.token_urlsafe(16)


def new_short_id() -> str:
    """Return 12 random characters of ``[a-z0-9]``: an id people may have to read out."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))


def new_secret() -> str:
    """Return 256 random bits as 43 characters of base64url."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is stored of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def matches(secret: str, stored: str) -> bool:
    """Tell whether `secret` is the one stored, in constant time."""
    return hmac.compare_digest(digest(secret), stored)


def token_text(token_id: str, secret: str) -> str:
    """Return an API token as its owner sees it; ``_`` separates, so it stands for itself alone."""
    return f"{TOKEN_PREFIX}_{token_id}_{secret.replace('_', '.')}"


def split_token(text: str) -> tuple[str, str] | None:
    """Return id and secret of an API token, None when it is none."""
    found = _TOKEN.fullmatch(text)
    return (found[1], found[2]) if found else None


def split_refresh(text: str) -> tuple[str, str] | None:
    """Return session id and secret of a refresh cookie, None when it is none."""
    found = _REFRESH.fullmatch(text)
    return (found[1], found[2]) if found else None
