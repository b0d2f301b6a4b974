"""Browsers that have logged in to an account before: a signed cookie that lives for months.

Place:  logins -> [service.devices] -> rings
Rule:   it proves nothing but that; it opens no door, it only keeps guessers of others from closing
        one. Bound to the account: a cookie of one account is worth nothing for another.
"""

from __future__ import annotations

import hmac
import re

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.service.proofs import new_id
from mergepoint.identity.accounts.service.rings import Rings

PURPOSE = "device"
_FORM = re.compile(r"([a-z0-9]{1,32})\.([A-Za-z0-9_-]{22})\.(\d{1,12})\.([A-Za-z0-9_-]{43})")


class Devices:
    """Issues and reads device cookies; keeps nothing."""

    def __init__(self, rings: Rings, settings: AccountsSettings, clock: Clock) -> None:
        self._rings = rings
        self._settings = settings
        self._clock = clock

    def issue(self, sub: str, value: str = "") -> str:
        """Return a cookie for this account; a valid `value` keeps its device id and count."""
        device = self.read(value, sub) or new_id()
        issued = int(self._clock.unix_s())
        kid, mac = self._rings.mac(PURPOSE, f"{sub}|{device}|{issued}")
        return f"{kid}.{device}.{issued}.{mac}"

    def read(self, value: str, sub: str) -> str | None:
        """Return the device's id when the cookie is ours, for this account, and not too old."""
        found = _FORM.fullmatch(value)
        if found is None:
            return None
        kid, device, issued, mac = found.groups()
        _, wanted = self._rings.mac(PURPOSE, f"{sub}|{device}|{issued}", kid)
        young = self._clock.unix_s() - int(issued) < self._settings.device_life_s
        return device if wanted and hmac.compare_digest(mac, wanted) and young else None
