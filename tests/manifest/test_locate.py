"""Every key is found on the line it was written on, however TOML lets one write it.

Place:  make test
Rule:   the oracle is a value that says its own line, parsed by the standard parser.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergepoint.manifest.locate import key_lines

EVERY_FORM = '''\
# a comment with [brackets] and "quotes"
top = 2 # and = one after

[site]
name = "line \\" 5 # no comment"
'quoted key' = 6
"a.b" = 7
dotted . inner."x y" = 8
text = """
first = 1
[not.a.table]
""\\" quotes \\\\"""
after_text = 13
literal = \'\'\'
it's ''quoted'' = [
\'\'\'
after_literal = 17
list = [ # comment
  19,
  "]", # not the end
  21, ]
after_list = 22
inline = { a = 23, b = { c = 23 }, d = [23, 23] }
nested = [[24, 24], [
  25]]
date = 1979-05-27 07:32:00
after_date = 27
 [ tables . inner ]
value = 29
[[apps.small.together]]
path = 31
[apps.small.together.limits]
memory = 33
[[apps.small.together]]
path = 35
extra.deep = 36
[[apps.other]]
'''


def numbers(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield path, value
    entries = value.items() if isinstance(value, dict) else ()
    for key, entry in enumerate(value) if isinstance(value, list) else entries:
        yield from numbers(entry, (*path, key))


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_each_value_is_found_on_the_line_it_names(line_end: str) -> None:
    text = EVERY_FORM.replace("\n", line_end)
    lines = key_lines(text)
    found = dict(numbers(tomllib.loads(text)))

    assert len(found) >= 20
    assert {path: lines[path] for path in found} == found


def test_tables_are_found_on_their_header_or_the_first_key_that_implies_them() -> None:
    lines = key_lines(EVERY_FORM)

    assert lines["site",] == 4
    assert lines["site", "dotted"] == 8
    assert lines["tables",] == lines["tables", "inner"] == 28
    assert lines["apps", "small", "together", 0] == 30
    assert lines["apps", "small", "together", 0, "limits"] == 32
    assert lines["apps", "small", "together", 1] == 34
    assert lines["apps", "other", 0] == 37


def test_a_file_without_a_final_line_end_is_read_to_its_end() -> None:
    assert key_lines("a = 1\nb = 2") == {("a",): 1, ("b",): 2}
    assert key_lines("") == {}
    assert key_lines("# only words") == {}


@given(st.text(alphabet="[]{}=.,\"'#\\\n\r abt01-", max_size=60))
def test_whatever_the_standard_parser_accepts_has_a_line_for_every_key(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = key_lines(text)

    for path, _ in keys(document):
        assert 1 <= lines[path] <= text.count("\n") + 1


def keys(
    value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    entries: Any = value.items() if isinstance(value, dict) else ()
    for key, entry in enumerate(value) if isinstance(value, list) else entries:
        yield (*path, key), entry
        yield from keys(entry, (*path, key))
