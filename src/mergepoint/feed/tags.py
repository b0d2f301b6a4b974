"""How changes are spelled for those who keep answers: the tags of contracts.md, section 7.

Place:  feed.core, apps' read sets -> [feed.tags]
Rule:   pure; both sides spell with these functions, or tags would not meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mergepoint.feed.contract import Change, Op

TAG_BYTES_MAX = 256
ROWS_MAX = 1_000
"""Rows of one table in one read; more are spelled as the table and every tag of it."""

_NAME = frozenset(range(33, 127)) - frozenset(b",%:=*")
_VALUE = frozenset(range(33, 127)) - frozenset(b",%")


def table_tag(source: str, table: str) -> str:
    """Return the tag that every change of the table emits."""
    return f"{source}/{_spelled(table, _NAME)}"


def every_tag(source: str, table: str) -> str:
    """Return the tag that stands for every tag of the table."""
    return f"{table_tag(source, table)}:*"


def value_tag(source: str, table: str, column: str, value: int | str) -> str | None:
    """Return the tag of rows with this value, None where it is too long or cannot be spelled.

    An integer is spelled in decimal digits, a text as it is, a UUID as its text in lower case.
    """
    head = f"{table_tag(source, table)}:{_spelled(column, _NAME)}="
    tag = head + _spelled(str(value), _VALUE)
    # SQLite writes no text behind a NUL into the log.
    return tag if len(tag) <= TAG_BYTES_MAX and "%00" not in tag else None


def tags_of(
    source: str, changes: Iterable[Change], relatives: Mapping[str, tuple[str, ...]]
) -> frozenset[str]:
    """Return every tag that these changes emit.

    Tables that share rows with a changed one change as a whole: their keys may be others.
    """
    rows: dict[str, set[tuple[tuple[str, int | str], ...]]] = {}
    whole: set[str] = set()
    for change in changes:
        rows.setdefault(change.table, set()).add(tuple(change.key.items()))
        if change.op is Op.TABLE:
            whole.add(change.table)
    tags: set[str] = set()
    for table, keys in rows.items():
        tags.add(table_tag(source, table))
        if table in whole or len(keys) > ROWS_MAX:
            tags.add(every_tag(source, table))
        else:
            tags |= set(_value_tags(source, table, keys))
        for other in relatives.get(table, ()):
            tags |= {table_tag(source, other), every_tag(source, other)}
    return frozenset(tags)


def _value_tags(
    source: str, table: str, keys: Iterable[tuple[tuple[str, int | str], ...]]
) -> Iterator[str]:
    for key in keys:
        for column, value in key:
            tag = value_tag(source, table, column, value)
            if tag is not None:
                yield tag


def _spelled(text: str, plain: frozenset[int]) -> str:
    # surrogatepass: a name that is no Unicode must not stop the feed.
    raw = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in raw)
