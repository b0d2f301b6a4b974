"""Show where the words stand, and dates as people read them.

Place:  [marking] -> templates
Rule:   text is escaped first; only our own marks are HTML.
"""

from __future__ import annotations

import re
from datetime import datetime

from markupsafe import Markup, escape

WORDS_MAX = 12


def marked(text: str, words: str) -> Markup:
    """Return escaped text with each of the words marked, letters in any case."""
    wanted = sorted({re.escape(word) for word in re.findall(r"\w+", words)[:WORDS_MAX]}, key=len)
    if not wanted:
        return escape(text)
    pieces = re.split(f"({'|'.join(reversed(wanted))})", text, flags=re.IGNORECASE)
    shown = [
        Markup("<mark>{}</mark>").format(piece) if i % 2 else escape(piece)
        for i, piece in enumerate(pieces)
    ]
    return Markup().join(shown)


def day(moment: str) -> str:
    """Write 2026-11-03T… as 3 November 2026; empty for anything else."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return ""
    return f"{at.day} {at:%B %Y}"
