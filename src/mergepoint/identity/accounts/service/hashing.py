"""Argon2 with a bound on how many hashes are made at once.

Place:  passwords -> [service.hashing] -> argon2-cffi
Rule:   a hash takes `memory_kib`, so no more than `at_once_max` run; the rest waits, with a limit.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mergepoint.identity.accounts.config import Argon2Cost
from mergepoint.identity.accounts.service.errors import Busy

PASSWORD_BYTES_MAX = 1024
HASH_WAIT_S = 10.0
"""How long a password waits for its turn before the answer is `Busy`."""


class Hasher:
    """Hashes and verifies; `waste` costs the same as verifying and tells nothing."""

    def __init__(
        self, cost: Argon2Cost, at_once_max: int = 2, *, wait_s: float = HASH_WAIT_S
    ) -> None:
        self._argon2 = PasswordHasher(
            time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes
        )
        self._turns = threading.BoundedSemaphore(at_once_max)
        self._wait_s = wait_s

    @cached_property
    def _nobody(self) -> str:
        """A hash at today's cost, so that an unknown user takes as long as a known one."""
        return self._argon2.hash("nobody has this password")

    def warm(self) -> None:
        """Make what `waste` needs, so that the first unknown user takes no longer than others."""
        _ = self._nobody

    def hash(self, password: str) -> str:
        """Return the hash in PHC form; raise `Busy` when no turn came."""
        with self._turn():
            return self._argon2.hash(normal(password))

    def verify(self, stored: str, password: str) -> bool:
        """Tell whether the password is the one hashed; False for a damaged hash."""
        raw = normal(password)
        fits = len(raw) <= PASSWORD_BYTES_MAX
        with self._turn():
            try:
                return self._argon2.verify(stored, raw if fits else b"") and fits
            except (VerificationError, InvalidHashError):
                return False

    def waste(self, password: str) -> None:
        """Take as long as `verify`, for somebody who does not exist or has no password."""
        self.verify(self._nobody, password)

    def is_stale(self, stored: str) -> bool:
        """Tell whether a hash was made with another cost than today's."""
        return self._argon2.check_needs_rehash(stored)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._wait_s):
            raise Busy(f"no turn to check a password within {self._wait_s:g} s")
        try:
            yield
        finally:
            self._turns.release()


def normal(password: str) -> bytes:
    """Return a password as RFC 8265 compares it: NFC, so that two keyboards type one password."""
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")
