"""One Python file, read with `ast`: which of its names are applications, or make one.

Place:  detect.tree -> [detect.python_source] -> detect.python_apps
Rule:   nothing is imported or run; a file that cannot be parsed is a fact too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mergepoint.detect.candidate import Serve
from mergepoint.detect.frameworks import MAKERS, Maker

PLAIN_WSGI = Maker("WSGI", Serve.WSGI)
PLAIN_ASGI = Maker("ASGI", Serve.ASGI)

PLAIN_NAMES = frozenset({"application", "app", "wsgi_app", "asgi_app"})
"""Functions of these names with two or three arguments are taken for bare callables."""

ADAPTERS: Mapping[str, Serve] = {
    "a2wsgi.ASGIMiddleware": Serve.WSGI,
    "a2wsgi.WSGIMiddleware": Serve.ASGI,
    "asgiref.wsgi.WsgiToAsgi": Serve.ASGI,
    "fastapi.middleware.wsgi.WSGIMiddleware": Serve.ASGI,
    "starlette.middleware.wsgi.WSGIMiddleware": Serve.ASGI,
}
"""Wrappers that turn one interface into the other."""


@dataclass(frozen=True, slots=True)
class AppName:
    """A module-level name: an application (`arguments` < 0), or a function that returns one."""

    name: str
    maker: Maker
    line: int
    arguments: int = -1
    """Required arguments of the factory; -1 when the name is the application itself."""


@dataclass(slots=True)
class Source:
    """What one file says."""

    file: str
    imports: dict[str, str] = field(default_factory=dict)
    """Local name to qualified name; relative imports keep their leading dots."""
    apps: dict[str, AppName] = field(default_factory=dict)
    calls: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Module-level names assigned from a call of something not known here: name, line."""
    error: str = ""
    """``line: message`` when the file is not valid Python."""
    tree: ast.Module | None = None


def read_source(file: str, text: str) -> Source:
    """Parse one file and find its applications and factories."""
    source = Source(file)
    try:
        source.tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        source.error = f"{getattr(error, 'lineno', None) or 1}: {getattr(error, 'msg', error)}"
        return source
    source.imports = _imports(ast.walk(source.tree))
    scope = _Scope(source.imports)
    statements = list(_statements(source.tree.body))
    for node in statements:  # first, because a function above may use a class below
        if isinstance(node, ast.ClassDef):
            scope.learn_class(node)
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _function(node, source, scope)
        else:
            _assignment(node, source, scope)
    return source


class _Scope:
    """What names stand for while reading downwards: applications, and instances of makers."""

    def __init__(self, imports: Mapping[str, str]) -> None:
        self.imports = imports
        self.apps: dict[str, Maker] = {}
        self.kinds: dict[str, str] = {}
        self.classes: dict[str, Maker] = {}
        self.factories: dict[str, Maker] = {}

    def child(self) -> _Scope:
        """Return a scope for a function body, which sees what the module knows."""
        inner = _Scope(self.imports)
        inner.apps, inner.kinds = dict(self.apps), dict(self.kinds)
        inner.classes, inner.factories = self.classes, self.factories
        return inner

    def qualified(self, node: ast.expr) -> str:
        """Return the qualified name of a name or attribute, empty for anything else."""
        if isinstance(node, ast.Name):
            return self.kinds.get(node.id) or self.imports.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self.qualified(node.value)
            return f"{base}.{node.attr}" if base else ""
        if isinstance(node, ast.Call):
            return self.qualified(node.func)
        return ""

    def maker(self, node: ast.expr) -> Maker | None:
        """Return what kind of application an expression is, None when it is none."""
        if isinstance(node, ast.Name):
            return self.apps.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if not isinstance(node, ast.Call):
            return None
        name = self.qualified(node.func)
        if name in MAKERS:
            return MAKERS[name]
        if isinstance(node.func, ast.Name):
            made = self.classes.get(node.func.id) or self.factories.get(node.func.id)
            if made is not None:
                return made
        return self._wrapped(name, node)

    def _attribute(self, node: ast.Attribute) -> Maker | None:
        inner = self.maker(node.value)
        if inner is not None and inner.attribute == node.attr:
            return Maker(inner.framework, inner.serve)
        if inner is not None and node.attr == "wsgi_app":
            return inner
        return None

    def _wrapped(self, name: str, node: ast.Call) -> Maker | None:
        first = node.args[0] if node.args else _keyword(node, "app")
        inner = self.maker(first) if first is not None else None
        if inner is None or not name.rsplit(".", 1)[-1][:1].isupper():
            return None
        return Maker(inner.framework, ADAPTERS.get(name, inner.serve))

    def learn_class(self, node: ast.ClassDef) -> None:
        """Remember a class whose instances are applications."""
        for base in node.bases:
            known = MAKERS.get(self.qualified(base))
            if known is not None:
                self.classes[node.name] = known
        for item in node.body:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name == "__call__":
                plain = _plain(item, skip=1)
                if plain is not None:
                    self.classes.setdefault(node.name, plain)

    def learn(self, target: ast.expr, value: ast.expr) -> tuple[str, Maker] | None:
        """Take in ``target = value``; return the name and kind when it is an application."""
        if isinstance(target, ast.Tuple) and target.elts and isinstance(target.elts[0], ast.Name):
            if self.qualified(value) != "fasthtml.common.fast_app":
                return None
            target, maker = target.elts[0], MAKERS["fasthtml.common.FastHTML"]
        elif isinstance(target, ast.Name):
            found = self.maker(value)
            if found is None:
                self._learn_kind(target.id, value)
                return None
            maker = found
        else:
            return None
        name = target.id
        self.apps[name] = maker
        return name, maker

    def _learn_kind(self, name: str, value: ast.expr) -> None:
        kind = self.qualified(value) if isinstance(value, ast.Call) else ""
        if kind and any(known.startswith(f"{kind}.") for known in MAKERS):
            self.kinds[name] = kind


def _imports(nodes: Iterator[ast.AST]) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                if alias.name == "*":
                    found.update(_starred(base))
                else:
                    joint = "" if base.endswith(".") else "."
                    found[alias.asname or alias.name] = f"{base}{joint}{alias.name}"
    return found


def _starred(module: str) -> dict[str, str]:
    prefix = f"{module}."
    known = [*MAKERS, "fasthtml.common.fast_app"]
    rest = (name.removeprefix(prefix) for name in known if name.startswith(prefix))
    return {name: prefix + name for name in rest if "." not in name}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements in order, into if, try and with, but not below a main guard."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            if not is_main_guard(node):
                yield from _statements(node.body)
            yield from _statements(node.orelse)
        elif isinstance(node, ast.Try):
            for part in (node.body, *(h.body for h in node.handlers), node.orelse, node.finalbody):
                yield from _statements(part)
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from _statements(node.body)


def is_main_guard(node: ast.If) -> bool:
    """Tell whether this is ``if __name__ == "__main__":``."""
    test = node.test
    if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq):
        return False
    sides = [test.left, test.comparators[0]]
    return any(isinstance(s, ast.Name) and s.id == "__name__" for s in sides)


def _assignment(node: ast.stmt, source: Source, scope: _Scope) -> None:
    for target, value in _pairs(node):
        learned = scope.learn(target, value)
        if learned is not None:
            name, maker = learned
            source.apps[name] = AppName(name, maker, node.lineno)
        elif isinstance(target, ast.Name) and isinstance(value, ast.Call):
            called = scope.qualified(value.func)
            if called:
                source.calls[target.id] = (called, node.lineno)


def _pairs(node: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, node.value
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, ast.With | ast.AsyncWith):
        for item in node.items:
            if item.optional_vars is not None:
                yield item.optional_vars, item.context_expr


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, source: Source, scope: _Scope) -> None:
    plain = _plain(node)
    if plain is not None:
        scope.apps[node.name] = plain
        source.apps[node.name] = AppName(node.name, plain, node.lineno)
        return
    if isinstance(node, ast.AsyncFunctionDef):
        return
    inner = scope.child()
    for statement in _statements(node.body):
        for target, value in _pairs(statement):
            inner.learn(target, value)
        if isinstance(statement, ast.Return) and statement.value is not None:
            made = inner.maker(statement.value)
            if made is not None:
                required = len(node.args.args) - len(node.args.defaults)
                required += sum(default is None for default in node.args.kw_defaults)
                required += len(node.args.posonlyargs)
                source.apps[node.name] = AppName(node.name, made, node.lineno, required)
                scope.factories[node.name] = made
                return


def _plain(node: ast.FunctionDef | ast.AsyncFunctionDef, skip: int = 0) -> Maker | None:
    """Tell a bare WSGI or ASGI callable by its arguments, or by its name and their count."""
    names = tuple(argument.arg.strip("_") for argument in node.args.args[skip:])
    named = node.name in PLAIN_NAMES and not node.args.defaults
    if isinstance(node, ast.AsyncFunctionDef):
        asgi = names == ("scope", "receive", "send") or (named and len(names) == 3)
        return PLAIN_ASGI if asgi else None
    if len(names) != 2:
        return None
    wsgi = names[0] in {"environ", "env"} and names[1].startswith("start")
    return PLAIN_WSGI if wsgi or named else None


def _keyword(node: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in node.keywords if k.arg == name), None)
