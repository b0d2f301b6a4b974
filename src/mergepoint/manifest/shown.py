"""How values and paths appear in messages: short, as TOML, and never a secret.

Place:  [manifest.shown] -> manifest, cli
Rule:   pure; a value under a secret-looking name, or a URL with a password, is redacted.
"""

from __future__ import annotations

import re
from typing import Any

SHOWN_CHARACTERS_MAX = 60
STARS = "***"
REDACTED = f'"{STARS}"'

_SECRET_NAME = re.compile(
    r"secret|token|passw|pwd|credential|private|api_?key|access_?key|_key\Z|dsn|_url\Z",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@")
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")

KeyPath = tuple[str | int, ...]


def dotted(path: KeyPath) -> str:
    """Return ``apps.tickets.together[0].wsgi``; keys that need quotes have them."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            written = part if _BARE.match(part) else quoted(part)
            text += f".{written}" if text else written
    return text


def quoted(text: str) -> str:
    """Return a short TOML string on one line."""
    short = text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 3] + "..."
    plain = short.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in plain) + '"'


def is_secret(path: KeyPath) -> bool:
    """Tell whether a value at `path` may be a secret.

    Such are a variable with a secret-looking name, the secret of a provider, the password at a
    mail server and the database of accounts; of these three the name of a variable, ``env:NAME``,
    may be shown.
    """
    names = [part for part in path if isinstance(part, str)]
    if names[:1] == ["identity"]:
        return names[-1] == "client_secret" or names[1:] in (["database"], ["mail", "password"])
    return "env" in names[:-1] and _SECRET_NAME.search(names[-1]) is not None


def shown(path: KeyPath, value: Any) -> str:
    """Return `value` as a message may show it."""
    if is_secret(path):
        return _redacted(path, value)
    if isinstance(value, dict) and value and "env" in path:
        return "{ ... }"
    text = _toml(path, value)
    return (
        text if len(text) <= 2 * SHOWN_CHARACTERS_MAX else text[: 2 * SHOWN_CHARACTERS_MAX] + " ..."
    )


def _redacted(path: KeyPath, value: Any) -> str:
    text = value if isinstance(value, str) and path[0] == "identity" else ""
    if text.startswith("env:") or (text.startswith("sqlite://") and "?" not in text):
        return quoted(text)
    scheme, separator, _ = text.partition("://")
    return f'"{scheme}://***"' if separator and path[-1] == "database" else REDACTED


def _toml(path: KeyPath, value: Any) -> str:
    if isinstance(value, str):
        return quoted(_URL_PASSWORD.sub(r"\1:***@", value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 200:
        return "a very large number"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown((*path, i), v) for i, v in enumerate(value[:8])) + "]"
    if isinstance(value, dict):
        pairs = (f"{dotted((k,))} = {shown((*path, k), v)}" for k, v in list(value.items())[:8])
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    return str(value)
