"""A `.sql` file to methods, every mistake with its line.

Place:  methods.library, cli -> [methods.parse] -> methods.declare, methods.scan
Rule:   pure; text in, methods and mistakes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mergepoint.data.methods.contract import Method, Mistake, Parameter
from mergepoint.data.methods.declare import HEADER, Header, header
from mergepoint.data.methods.scan import scan

FILE_BYTES_MAX = 1 << 20
METHODS_MAX = 2000


class Parsed(NamedTuple):
    """What one or many files hold."""

    methods: tuple[Method, ...]
    mistakes: tuple[Mistake, ...]


class _Block(NamedTuple):
    line: int
    header: str
    body: str


def parse(text: str, file: Path) -> Parsed:
    """Return the methods of one file."""
    methods: list[Method] = []
    mistakes: list[Mistake] = []
    for block in _blocks(text):
        if block.line == 0:
            mistakes.append(Mistake(file, 1, "SQL before the first `-- name:`"))
            continue
        try:
            read = header(block.header)
        except ValueError as error:
            mistakes.append(Mistake(file, block.line, str(error)))
            continue
        method, wrong = _method(read, block, file)
        methods.append(method)
        mistakes.extend(wrong)
    return Parsed(tuple(methods), tuple(mistakes))


def together(parsed: Iterable[Parsed]) -> Parsed:
    """Return all of them as one, with what only shows beside each other."""
    methods: list[Method] = []
    mistakes: list[Mistake] = []
    for one in parsed:
        methods.extend(one.methods)
        mistakes.extend(one.mistakes)
    if len(methods) > METHODS_MAX:
        last = methods[METHODS_MAX]
        mistakes.append(Mistake(last.file, last.line, f"more than {METHODS_MAX} methods"))
    seen: dict[tuple[str, str], Method] = {}
    for method in methods:
        first = seen.setdefault((method.name, method.dialect), method)
        if first is not method:
            what = f"{method.name} is declared at {first.where} already"
            mistakes.append(Mistake(method.file, method.line, what))
    mistakes.extend(_clashes({method.name: method for method in methods}))
    mistakes.extend(_unlike(methods))
    return Parsed(tuple(methods), tuple(mistakes))


def _blocks(text: str) -> Iterator[_Block]:
    line, head, body = 0, "", list[str]()
    for number, row in enumerate(text.splitlines(), 1):
        found = HEADER.match(row.strip())
        if found is None:
            body.append(row)
            continue
        if line or scan("\n".join(body)).text:
            yield _Block(line, head, "\n".join(body))
        line, head, body = number, found[1], []
    if line or scan("\n".join(body)).text:
        yield _Block(line, head, "\n".join(body))


def _method(read: Header, block: _Block, file: Path) -> tuple[Method, list[Mistake]]:
    scanned = scan(block.body)
    used = list(dict.fromkeys(name for name, _ in scanned.parameters))
    declared = read.parameters
    parameters = tuple(Parameter(name) for name in used) if declared is None else declared
    names = {one.name for one in parameters}
    mistakes = []

    def wrong(what: str, offset: int | None = None) -> None:
        line = block.line
        if offset is not None:
            line += 1 + block.body.count("\n", 0, offset)
        mistakes.append(Mistake(file, line, what))

    if not scanned.text:
        wrong(f"{read.name} has no statement")
    for offset in scanned.ends:
        wrong(f"{read.name} has a second statement; give it a name of its own", offset)
    for name, offset in scanned.parameters:
        if name not in names:
            known = ", ".join(sorted(names)) or "none"
            wrong(f":{name} is no parameter of {read.name}; there are {known}", offset)
    for one in parameters:
        if one.name not in used:
            wrong(f"parameter {one.name!r} of {read.name} is not used")
    method = Method(
        name=read.name,
        parameters=parameters,
        shape=read.shape,
        target=read.target,
        dialect=read.dialect,
        file=file,
        line=block.line,
        doc=_doc(block.body),
        scanned=scanned,
    )
    return method, mistakes


def _doc(body: str) -> str:
    lines = []
    for row in body.splitlines():
        stripped = row.strip()
        if not stripped.startswith("--"):
            break
        lines.append(stripped.removeprefix("--").strip())
    return "\n".join(lines)


def _clashes(by_name: dict[str, Method]) -> Iterator[Mistake]:
    for name, method in by_name.items():
        if f"a{name}" in by_name:
            other = by_name[f"a{name}"]
            what = f"a{name} is what the asynchronous {name} is called ({method.where})"
            yield Mistake(other.file, other.line, what)


def _unlike(methods: list[Method]) -> Iterator[Mistake]:
    first: dict[str, Method] = {}
    for method in methods:
        known = first.setdefault(method.name, method)
        same = (known.parameters, known.shape, known.target)
        if known.dialect != method.dialect and same != (
            method.parameters,
            method.shape,
            method.target,
        ):
            what = f"{method.name} has other parameters or another shape than at {known.where}"
            yield Mistake(method.file, method.line, what)
