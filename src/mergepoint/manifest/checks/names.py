"""The names a Python file defines at its top level, read from its syntax tree.

Place:  manifest.checks.modules -> [manifest.checks.names]
Rule:   never imports; a file that could define names in other ways is open ended.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE_BYTES_MAX = 1 << 20
_DYNAMIC = {"exec", "eval", "globals", "setattr", "vars", "__import__"}


@dataclass(frozen=True, slots=True)
class Names:
    """What a module offers."""

    all: frozenset[str]
    factories: frozenset[str]
    """Functions that can be called without arguments, and only so."""
    open_ended: bool
    """There may be more names: a star import, a module __getattr__, or code that makes names."""


def names_in(file: Path) -> Names | None:
    """Return the names, or None when the file cannot be read by this Python's grammar."""
    try:
        tree = ast.parse(file.read_bytes()[:SOURCE_BYTES_MAX])
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: set[str] = set()
    factories: set[str] = set()
    open_ended = file.stat().st_size > SOURCE_BYTES_MAX
    for node in _top_level(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            if isinstance(node, ast.FunctionDef) and _takes_nothing(node):
                factories.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.asname or alias.name.partition(".")[0] for alias in node.names]
            found.update(names)
            open_ended |= "*" in names
        elif isinstance(node, ast.Name):
            found.add(node.id)
            open_ended |= node.id in _DYNAMIC
    return Names(frozenset(found), frozenset(factories), open_ended or "__getattr__" in found)


def _top_level(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node that runs in the module's own scope."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        ):
            yield from _top_level(child)


def _takes_nothing(node: ast.FunctionDef) -> bool:
    given = node.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return not parameters and not given.vararg and not given.kwarg and not node.decorator_list
