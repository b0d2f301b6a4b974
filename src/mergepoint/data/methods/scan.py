"""Reading SQL just far enough: strings, comments, parameters, the end of a statement.

Place:  methods.parse -> [methods.scan]
Rule:   pure; knows the quoting of SQLite and PostgreSQL, and no grammar beyond it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PIECE = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?\*/ )
  | (?P<text> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
            | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
  | (?P<cast> :: )
  | (?P<parameter> (?<![\w:\\]):(?P<name>[A-Za-z_]\w*) )
  | (?P<end> ; )
  | (?P<word> [A-Za-z_]\w* )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
WRITING = frozenset(("insert", "update", "delete", "merge", "replace", "truncate"))
EXPLAINED = frozenset(("select", "values", "with")) | WRITING


@dataclass(frozen=True)
class Scanned:
    """One statement."""

    text: str
    """As SQLAlchemy's `text()` takes it: without comments, colons that are none of ours escaped."""
    parameters: tuple[tuple[str, int], ...]
    """Name and offset of each use."""
    words: frozenset[str]
    """Every bare word, in lower case."""
    first: str
    """The first word, in lower case."""
    ends: tuple[int, ...]
    """Offsets of statements that begin after a semicolon."""

    @property
    def writes(self) -> bool:
        """Tell whether it may change rows; a function that writes is not seen."""
        return self.first not in ("select", "values", "with") or bool(self.words & WRITING)

    @property
    def explainable(self) -> bool:
        """Tell whether EXPLAIN takes it."""
        return self.first in EXPLAINED


def scan(sql: str) -> Scanned:
    """Return what stands in `sql`."""
    parts: list[str] = []
    parameters: list[tuple[str, int]] = []
    words: list[str] = []
    ends: list[int] = []
    ended = False
    for piece in _PIECE.finditer(sql):
        kind, text = str(piece.lastgroup), piece.group()
        if piece.group("parameter"):
            kind = "parameter"
        elif piece.group("text"):
            kind = "text"
        if kind == "comment":
            parts.append(" ")
            continue
        if ended and text.strip() and kind != "end":
            ends.append(piece.start())
            ended = False
        if kind == "end":
            ended = True
            continue
        if kind == "parameter":
            parameters.append((piece.group("name"), piece.start()))
        elif kind == "word":
            words.append(text.lower())
        parts.append(text if kind == "parameter" else text.replace(":", "\\:"))
    return Scanned(
        text="".join(parts).strip(),
        parameters=tuple(parameters),
        words=frozenset(words),
        first=words[0] if words else "",
        ends=tuple(ends),
    )
