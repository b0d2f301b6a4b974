"""Whether a password is easy to guess: common ones, words, dates, keyboard rows, and mixtures.

Place:  passwords -> [service.guessing] -> zxcvbn
Rule:   nothing leaves the machine, no list of our own; what a person is called counts as guessed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

GUESSES_MIN = 1e8
"""Fewer tries than these find the password; zxcvbn calls what needs more safely unguessable."""
WEIGHED_CHARS_MAX = 32
"""Only the beginning is weighed: letters that digits stand for multiply, and so does the time."""
WORDS_MAX = 32
NOTHING = "-"
"""Stands for no password: zxcvbn fails at an empty one."""

_weighing = threading.Lock()
"""zxcvbn keeps the words of one call in a place that all threads share."""


def warm() -> None:
    """Load the lists now; the first password would otherwise wait for them."""
    is_guessable(NOTHING, ())


def is_guessable(password: str, words: Iterable[str]) -> bool:
    """Tell whether a guesser who knows `words` needs fewer than `GUESSES_MIN` tries.

    30,000 passwords from breaches, English words and names, dates, rows of the keyboard and
    sequences are known, also repeated, put together, in capitals and with digits for letters.
    """
    from zxcvbn import zxcvbn

    known = [word for word in dict.fromkeys(words) if word][:WORDS_MAX]
    with _weighing:
        found = zxcvbn(password[:WEIGHED_CHARS_MAX] or NOTHING, user_inputs=known)
        zxcvbn(NOTHING)  # forgets the words
    return float(found["guesses"]) < GUESSES_MIN
