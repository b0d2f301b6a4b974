"""The picture of an authenticator's secret.

Place:  pages.security, pages.enrol -> [pages.drawing] -> segno
Rule:   black on white in every colour scheme: cameras need the contrast.
"""

from __future__ import annotations

from typing import Any

import segno
from markupsafe import Markup

from mergepoint.identity.accounts.service.factors import NewTotp

GROUP = 4


def drawn(new: NewTotp) -> dict[str, Any]:
    """Return the QR code, and the secret in groups of four for typing."""
    picture = segno.make(new.uri, error="m", micro=False).svg_inline(
        border=0, omitsize=True, svgclass=None, lineclass=None, dark="#000"
    )
    groups = [new.secret[at : at + GROUP] for at in range(0, len(new.secret), GROUP)]
    # A path made here; nothing that a person typed is in it.
    return {"qr": Markup(picture), "seed_shown": " ".join(groups)}  # noqa: S704
