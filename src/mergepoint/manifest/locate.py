"""Find the line of every key in a TOML text that the standard parser has accepted.

Place:  manifest.read -> [manifest.locate]
Rule:   pure; positions only, values are tomllib's business; never raises on accepted TOML.
"""

from __future__ import annotations

import tomllib

Path = tuple[str | int, ...]
Lines = dict[Path, int]

_BLANK = " \t"
_GAP = " \t\r\n"


class _Scanner:
    """A cursor over the text; each method consumes one construct and notes the keys it meets."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: Lines = {}
        self.arrays: dict[Path, int] = {}

    def peek(self, count: int = 1) -> str:
        return self.text[self.at : self.at + count]

    def take(self, count: int = 1) -> str:
        taken = self.text[self.at : self.at + count]
        self.line += taken.count("\n")
        self.at += len(taken)
        return taken

    def skip(self, characters: str) -> None:
        """Pass over `characters`, and over comments where line ends may be passed."""
        while self.at < len(self.text):
            if self.peek() in characters:
                self.take()
            elif self.peek() == "#" and "\n" in characters:
                end = self.text.find("\n", self.at)
                self.take((len(self.text) if end < 0 else end) - self.at)
            else:
                return

    def string(self) -> str:
        """Consume one quoted string of any of the four forms; return it with its quotes."""
        quote, begin = self.peek(), self.at
        mark = quote * 3 if self.peek(3) == quote * 3 else quote
        self.take(len(mark))
        while self.at < len(self.text) and self.peek(len(mark)) != mark:
            self.take(2 if self.peek() == "\\" and quote == '"' else 1)
        self.take(len(mark))
        while len(mark) == 3 and self.peek() == quote:
            self.take()  # up to two quotes may stand right before the closing three
        return self.text[begin : self.at]

    def key(self) -> Path:
        """Consume a bare, quoted or dotted key."""
        parts: list[str | int] = []
        while True:
            self.skip(_BLANK)
            if self.peek() in ("'", '"'):
                parts.append(tomllib.loads("k=" + self.string())["k"])
            else:
                begin = self.at
                while self.peek() and self.peek() not in " \t.=]\r\n":
                    self.take()
                parts.append(self.text[begin : self.at])
            self.skip(_BLANK)
            if self.peek() != ".":
                return tuple(parts)
            self.take()

    def note(self, path: Path, line: int) -> None:
        """Remember the first line of the path and of each table it implies."""
        for end in range(1, len(path) + 1):
            self.lines.setdefault(path[:end], line)

    def pair(self, table: Path) -> None:
        """Consume ``key = value`` inside `table`."""
        line = self.line
        path = table + self.key()
        self.note(path, line)
        self.take()
        self.skip(_BLANK)
        self.value(path)

    def value(self, path: Path) -> None:
        first = self.peek()
        if first in ("'", '"') and first:
            self.string()
        elif first == "[":
            self.array(path)
        elif first == "{":
            self.inline(path)
        else:
            while self.peek() and self.peek() not in ",]}#\r\n":
                self.take()

    def array(self, path: Path) -> None:
        self.take()
        index = 0
        self.skip(_GAP)
        while self.peek() not in ("]", ""):
            self.note((*path, index), self.line)
            self.value((*path, index))
            index += 1
            self.skip(_GAP)
            if self.peek() == ",":
                self.take()
            self.skip(_GAP)
        self.take()

    def inline(self, path: Path) -> None:
        self.take()
        self.skip(_GAP)
        while self.peek() not in ("}", ""):
            self.pair(path)
            self.skip(_GAP)
            if self.peek() == ",":
                self.take()
            self.skip(_GAP)
        self.take()

    def header(self) -> Path:
        """Consume ``[table]`` or ``[[table]]``; return its path with array positions filled in."""
        line, double = self.line, self.peek(2) == "[["
        self.take(2 if double else 1)
        path = self.placed(self.key(), double=double)
        self.take(2 if double else 1)
        self.note(path, line)
        return path

    def placed(self, keys: Path, *, double: bool) -> Path:
        path: Path = ()
        for position, key in enumerate(keys):
            path = (*path, key)
            if double and position == len(keys) - 1:
                self.arrays[path] = self.arrays.get(path, -1) + 1
            if path in self.arrays:
                path = (*path, self.arrays[path])
        return path


def key_lines(text: str) -> Lines:
    """Return the 1-based line of every key path; array members are numbered from 0.

    `text` must be TOML that `tomllib` accepts; what stands in a table that is only implied has
    the line of the first key that implies it.
    """
    scanner = _Scanner(text)
    table: Path = ()
    scanner.skip(_GAP)
    while scanner.at < len(text):
        before = scanner.at
        if scanner.peek() == "[":
            table = scanner.header()
        else:
            scanner.pair(table)
        scanner.skip(_GAP)
        if scanner.at == before:
            break
    return scanner.lines
