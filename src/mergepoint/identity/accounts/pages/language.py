"""Which language a page speaks, and its sentences.

Place:  pages.doorway -> [pages.language] -> catalogue/*.toml
Rule:   every catalogue has the same keys and placeholders; a missing key is a fault of ours.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "de")
"""Languages with a catalogue; the first is spoken when nothing else fits."""
ACCEPTED_MAX = 20
"""How many entries of Accept-Language are looked at."""


@dataclass(frozen=True, slots=True)
class Speech:
    """The sentences of one language: ``speech("login.title")``."""

    lang: str
    sentences: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return the sentence with its placeholders filled; raise `KeyError` for an unknown key."""
        return self.sentences[key].format(**values)


@cache
def speech(lang: str) -> Speech:
    """Return the sentences of one of `LANGUAGES`; read once."""
    source = files(__package__) / "catalogue" / f"{lang}.toml"
    groups: dict[str, dict[str, str]] = tomllib.loads(source.read_text(encoding="utf-8"))
    flat = {
        f"{group}.{name}": text
        for group, entries in groups.items()
        for name, text in entries.items()
    }
    return Speech(lang, flat)


def known() -> tuple[tuple[str, str], ...]:
    """Return each language's code and its own name for itself."""
    return tuple((lang, speech(lang)("page.language")) for lang in LANGUAGES)


def choose(wishes: Iterable[str], accept: str) -> str:
    """Return the first wish we speak, else the best of `accept` (RFC 9110 12.5.4), else English.

    A wish or range matches by its first part: ``de-CH`` is served ``de``.
    """
    for wish in wishes:
        if (lang := _first_part(wish)) in LANGUAGES:
            return lang
    ranked = sorted(_accepted(accept), key=lambda entry: -entry[1])
    return next((lang for lang, weight in ranked if weight > 0 and lang in LANGUAGES), LANGUAGES[0])


def _accepted(accept: str) -> Iterable[tuple[str, float]]:
    for entry in accept.split(",")[:ACCEPTED_MAX]:
        lang, _, parameter = entry.partition(";")
        name, _, weight = parameter.strip().partition("=")
        try:
            yield _first_part(lang), float(weight) if name.strip() == "q" else 1.0
        except ValueError:
            continue


def _first_part(tag: str) -> str:
    return tag.strip().lower().partition("-")[0]
