"""What a site with identity needs beside its apps: key rings, and the settings of accounts.

Place:  manifest.site -> [assembly.identity] -> assembly.build
Rule:   makes the key rings where there are none; secrets go into one variable and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mergepoint.edge.identity import EdgeKeys
from mergepoint.identity.accounts.config import VARIABLE
from mergepoint.identity.accounts.from_site import keys_dir, settings_json
from mergepoint.identity.keys import EDGE, RINGS, KeyRing, ensure_ring
from mergepoint.manifest.access import ACCOUNTS
from mergepoint.manifest.site import Site


@dataclass(frozen=True, slots=True)
class Prepared:
    """Key rings that exist, and what the accounts app is started with."""

    edge: KeyRing = field(repr=False)
    kids: tuple[str, ...]
    """The ids of every key: the accounts app is started anew when they change."""
    environment: dict[str, str] = field(repr=False)
    """Empty when accounts cannot start as the machine is now."""


def prepare(site: Site, now_s: float) -> Prepared | None:
    """Return what identity needs, with every key ring made; None for a site without identity.

    Raises `KeysRefused` when a ring cannot be kept or is open to others.
    """
    if site.identity is None:
        return None
    rings = {name: ensure_ring(keys_dir(site), name, now_s) for name in RINGS}
    kids = tuple(key.kid for name in RINGS for key in rings[name].keys)
    told = {} if ACCOUNTS in site.failures else {VARIABLE: settings_json(site)}
    return Prepared(rings[EDGE], kids, told)


def edge_keys(ring: KeyRing, now_s: float) -> EdgeKeys:
    """Return the key to sign with at `now_s` and the public parts of the others that count."""
    signing = ring.signing(now_s)
    others = (key for key in ring.verifying(now_s) if key.kid != signing.kid)
    return EdgeKeys(signing.kid, signing.seed, tuple((key.kid, key.x) for key in others))
