"""Which rows a statement can have seen: `WHERE id = 42` pins it to the rows with that value.

Place:  cache.sqlite, cache.postgres -> [cache.pins]
Rule:   pure; one table, one SELECT, conditions joined by AND, or nothing is pinned.

Tokens are read, no grammar: what is not recognised pins nothing, and the answer is tagged with the
whole table. An equality in a conjunction decides alone which rows count, whatever the rest says.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

VALUES_MAX = 32
"""Values of one IN list; a longer one pins nothing."""
TEXT_BYTES_MAX = 4096
"""Of statements that are read at all."""
TOKENS = re.compile(
    r"""\s+|--[^\n]*|/\*.*?\*/
    |(?P<name>"(?:[^"]|"")+"|`[^`]+`|\[[^\]]+\])
    |(?P<text>'(?:[^']|'')*')
    |(?P<param>%s|%\(\w+\)s|\?\d*|(?<!:):\w+|@\w+|\$\w+)
    |(?P<number>\d+(?![\w.]))
    |(?P<word>[^\W\d]\w*)
    |(?P<cast>::\s*\w+(?:\s*\(\s*\d+\s*\))?)
    |(?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
REFUSED = frozenset(
    ("between", "case", "collate", "except", "intersect", "into", "join", "lateral", "over",
     "returning", "tablesample", "union", "window", "with", "xor")
)  # fmt: skip
AFTER_WHERE = frozenset(("fetch", "for", "group", "having", "limit", "offset", "order"))
SAFE_CALLS = frozenset(
    ("and", "as", "avg", "by", "cast", "coalesce", "count", "distinct", "exists", "from", "in",
     "join", "length", "limit", "lower", "max", "min", "not", "on", "or", "select", "sum", "then",
     "upper", "using", "values", "when", "where")
)  # fmt: skip
"""Words before a parenthesis that read nothing by themselves."""
NOT_A_WHOLE_NUMBER = re.compile(r"\s*[-+.\d]")
WHOLE_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")
LIKE_A_UUID = re.compile(r"[{]?[0-9a-fA-F-]{32,38}[}]?")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Token = tuple[str, str]


@dataclass(frozen=True)
class Pin:
    """A column and where its values stand: a parameter's name or place, or the value itself."""

    table: str
    column: str
    values: tuple[Token, ...]


def pinned(sql: str, parameters: Any) -> tuple[str, str, tuple[int | str, ...]] | None:
    """Return table, column and the values that every row seen has one of; None for no pin."""
    for pin in pins(sql):
        values = tuple(_value(token, parameters) for token in pin.values)
        if all(value is not None for value in values):
            return pin.table, pin.column, tuple(v for v in values if v is not None)
    return None


@lru_cache(maxsize=1024)
def pins(sql: str) -> tuple[Pin, ...]:
    """Return every pin of a statement, the likeliest key first."""
    tokens = _tokens(sql)
    table, where = _parts(tokens)
    if not table:
        return ()
    found = [pin for part in _conjuncts(where) if (pin := _pin(table, part)) is not None]
    return tuple(sorted(found, key=lambda pin: (pin.column != "id", not pin.column.endswith("id"))))


def _tokens(sql: str) -> list[Token]:
    if len(sql) > TEXT_BYTES_MAX:
        return []
    tokens: list[Token] = []
    places = 0
    for match in TOKENS.finditer(sql):
        kind, text = match.lastgroup, match.group()
        if kind is None or kind == "cast":
            continue
        if kind == "text" and ("%s" in text or "%(" in text):
            return []  # drivers that format their parameters in would take it for one
        if kind == "param" and text in {"?", "%s"}:
            kind, text, places = "place", str(places), places + 1
        elif kind == "param" and text[1:].isdecimal():
            kind, text = "place", str(int(text[1:]) - 1)
        elif kind == "param":
            text = text[2:-2] if text.startswith("%") else text[1:]
        elif kind == "word":
            text = text.lower()
        elif kind == "name":
            kind, text = "word", text[1:-1].replace('""', '"')
        tokens.append((kind, text))
    while tokens and tokens[-1] == ("other", ";"):
        tokens.pop()
    return tokens


def _parts(tokens: Sequence[Token]) -> tuple[str, Sequence[Token]]:
    """Return the only table and the tokens of the condition; an empty name where in doubt."""
    words = [text for kind, text in tokens if kind == "word"]
    if not tokens or tokens[0] != ("word", "select") or words.count("select") != 1:
        return "", ()
    if words.count("from") != 1 or words.count("where") != 1 or not REFUSED.isdisjoint(words):
        return "", ()
    if _calls_anything(tokens):
        return "", ()
    start, at = tokens.index(("word", "from")), tokens.index(("word", "where"))
    table = _table(tokens[start + 1 : at]) if start < at else ""
    depth, end = 0, len(tokens)
    for place in range(at + 1, len(tokens)):
        kind, text = tokens[place]
        depth += (text == "(") - (text == ")") if kind == "other" else 0
        if depth == 0 and kind == "word" and text in AFTER_WHERE:
            end = place
            break
    return table, tokens[at + 1 : end]


@lru_cache(maxsize=1024)
def calls_anything(sql: str) -> bool:
    """Tell whether a statement calls a function that might read a table by itself."""
    tokens = _tokens(sql)
    return not tokens or _calls_anything(tokens)


def _calls_anything(tokens: Sequence[Token]) -> bool:
    """Tell whether a function is called that might read another table."""
    return any(
        kind == "word" and after == ("other", "(") and text not in SAFE_CALLS
        for (kind, text), after in itertools.pairwise(tokens)
    )


def _table(tokens: Sequence[Token]) -> str:
    """Return the table of `schema.table AS alias`, empty for anything else."""
    names = [text for kind, text in tokens if kind == "word" and text != "as"]
    shape = "".join("w" if kind == "word" and text != "as" else text for kind, text in tokens)
    if shape in {"w", "ww", "wasw"}:
        return names[0]
    if shape in {"w.w", "w.ww", "w.wasw"}:
        return names[1] if names[0] in {"main", "public"} else f"{names[0]}.{names[1]}"
    return ""


def _conjuncts(tokens: Sequence[Token]) -> list[Sequence[Token]]:
    """Return what AND joins, through parentheses around all of it; one part where OR does."""
    if len(_split(tokens, "or")) > 1:
        return [tokens]
    found: list[Sequence[Token]] = []
    for part in _split(tokens, "and"):
        inner = _unwrapped(part)
        found += [part] if inner is None else _conjuncts(inner)
    return found


def _split(tokens: Sequence[Token], word: str) -> list[Sequence[Token]]:
    """Return the parts between this word, outside of parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        kind, text = token
        if kind == "other":
            depth += (text == "(") - (text == ")")
        if depth == 0 and token == ("word", word):
            parts.append([])
        else:
            parts[-1].append(token)
    return list(parts)


def _unwrapped(part: Sequence[Token]) -> Sequence[Token] | None:
    if len(part) < 2 or part[0] != ("other", "(") or part[-1] != ("other", ")"):
        return None
    depth = 0
    for place, (kind, text) in enumerate(part):
        depth += (text == "(") - (text == ")") if kind == "other" else 0
        if depth == 0 and place < len(part) - 1:
            return None
    return part[1:-1]


def _pin(table: str, part: Sequence[Token]) -> Pin | None:
    """Return the pin of one condition, or of several on one column that OR joins."""
    found = [_equality(table, _unwrapped(one) or one) for one in _split(part, "or")]
    pins = [pin for pin in found if pin is not None]
    if len(pins) < len(found) or len({pin.column for pin in pins}) != 1:
        return None
    values = tuple(value for pin in pins for value in pin.values)
    return Pin(table, pins[0].column, values) if len(values) <= VALUES_MAX else None


def _equality(table: str, part: Sequence[Token]) -> Pin | None:
    kinds = "".join(_letter(token) for token in part)
    bare = re.sub(r"\((v|w|w\.w)\)", r"\1", kinds)  # as Django writes a column and its values
    if not re.fullmatch(r"(?:w\.)?w(=v|iv|i\(v(?:,v)*\))", bare):
        return None
    values = tuple(token for token in part if _letter(token) == "v")
    name = [text for kind, text in part if kind == "word" and text != "in"][-1]
    return Pin(table, name, values)


def _letter(token: Token) -> str:
    kind, text = token
    if kind == "word":
        return "i" if text == "in" else "w"
    return "v" if kind in {"param", "place", "number", "text"} else text


def _value(token: Token, parameters: Any) -> int | str | None:
    """Return a value whose spelling is sure whatever the column's type; None for others.

    A text that looks like a number may equal one that is written otherwise ('042' on an INTEGER
    column), and one that looks like a UUID may be another spelling of it.
    """
    kind, text = token
    value: Any = text
    if kind == "number":
        value = int(text)
    elif kind == "text":
        value = text[1:-1].replace("''", "'")
    elif kind in {"param", "place"}:
        try:
            value = _given(text, parameters)
        except (LookupError, TypeError, ValueError):
            return None
    if type(value) is int:
        return value
    if type(value).__name__ == "UUID":
        return str(value)
    return value if type(value) is str and _is_sure(value) else None


def _given(text: str, parameters: Any) -> Any:
    if isinstance(parameters, Mapping):
        return parameters[text]
    return parameters[int(text)]


def _is_sure(value: str) -> bool:
    if LIKE_A_UUID.fullmatch(value):
        return UUID.fullmatch(value) is not None
    if NOT_A_WHOLE_NUMBER.match(value):
        return WHOLE_NUMBER.fullmatch(value) is not None
    return bool(value) and value == value.strip() and "\0" not in value
