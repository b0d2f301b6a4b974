"""Whether a password is known from a breach: a file of SHA-1 hashes, or a function of the site's.

Place:  settings.breached -> [service.breach] -> passwords
Rule:   nothing leaves the machine; a hook that fails refuses no password and says so in the log.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from mergepoint.identity.accounts.config import SettingsRefused

LINE_BYTES_MAX = 256
HASH_CHARS = 40

log = logging.getLogger("mergepoint.accounts")

Breached = Callable[[str], bool]


def breach_check(setting: str) -> Breached:
    """Return the check `AccountsSettings.breached` names; raise `SettingsRefused` if there is none.

    A file has one upper- or lower-case SHA-1 in hexadecimal at the beginning of every line, in
    ascending order, as the published lists are ordered by hash; what follows a colon is ignored.
    """
    if not setting:
        return lambda _password: False
    if setting.startswith("/"):
        path = Path(setting)
        return lambda password: _guarded(lambda: _in_file(path, _sha1(password)))
    hook = _function(setting)
    return lambda password: _guarded(lambda: bool(hook(password)))


def _function(setting: str) -> Breached:
    module, _, name = setting.partition(":")
    try:
        hook = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SettingsRefused(f"breached: {setting}: {error}") from None
    if not callable(hook):
        raise SettingsRefused(f"breached: {setting} is a {type(hook).__name__}, not a function")
    found: Breached = hook
    return found


def _guarded(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception as error:  # a doorway: the hook is the site's own code
        log.warning("breached: the check failed with %s", type(error).__name__)
        return False


def _sha1(password: str) -> bytes:
    return (
        hashlib.sha1(password.encode(errors="surrogatepass"), usedforsecurity=False)
        .hexdigest()
        .upper()
        .encode()
    )


def _in_file(path: Path, wanted: bytes) -> bool:
    """Search by halves; never reads more than a few lines, whatever the size."""
    with path.open("rb") as file:
        low, high = 0, file.seek(0, os.SEEK_END)
        while low < high:
            middle = (low + high) // 2
            start, line = _line_at(file, middle)
            found = line[:HASH_CHARS].upper()
            if found == wanted:
                return True
            if not found or found > wanted:
                high = middle
            else:
                low = start + len(line)
    return False


def _line_at(file: IO[bytes], position: int) -> tuple[int, bytes]:
    """Return start and text of the first line that begins at or after `position`."""
    if position > 0:
        file.seek(position - 1)
        file.readline(LINE_BYTES_MAX)
    else:
        file.seek(0)
    start = file.tell()
    return start, file.readline(LINE_BYTES_MAX)
