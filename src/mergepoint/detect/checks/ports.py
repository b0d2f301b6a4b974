"""Ports written in the source: the site gives every worker its own.

Place:  detect.preflight -> [detect.checks.ports]
Rule:   pure; a server started while the module is imported is an error, one behind a guard is fine.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from mergepoint.detect.candidate import Finding
from mergepoint.detect.python_source import is_main_guard
from mergepoint.detect.subject import SCRIPTS, Subject

LISTEN = re.compile(r"""\.listen\(\s*(\d{2,5})\b""")
PORT_VARIABLE = re.compile(r"process\.env\.PORT|process\.env\[[\"']PORT[\"']\]|env\.PORT")
RUNNERS = frozenset({"run", "run_server", "serve_forever"})


def port_findings(subject: Subject, others: Sequence[Subject]) -> Iterator[Finding]:  # noqa: ARG001
    """Report servers started at import, and commands that listen on a port of their own choice."""
    if subject.kind in {"wsgi", "asgi"}:
        yield from _started_at_import(subject)
    elif subject.kind == "command":
        yield from _fixed_port(subject)


def _fixed_port(subject: Subject) -> Iterator[Finding]:
    hits = list(subject.find(LISTEN, SCRIPTS))
    if hits and not list(subject.find(PORT_VARIABLE, SCRIPTS)):
        yield Finding(
            "error",
            "fixed_port",
            f"listens on port {hits[0].text} whatever it is told",
            f"write listen(process.env.PORT || {hits[0].text})",
            hits[0].where,
        )


def _started_at_import(subject: Subject) -> Iterator[Finding]:
    module = subject.target.partition(":")[0].replace(".", "/")
    for name, text in subject.tree.python():
        if not (f"/{name}".endswith((f"/{module}.py", f"/{module}/__init__.py"))):
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        for line, call in _unguarded(tree.body):
            yield Finding(
                "error",
                "runs_at_import",
                f"{call}(...) is called when the module is imported, so the import never ends",
                'put it under: if __name__ == "__main__":',
                f"{name}:{line}",
            )


def _unguarded(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    for node in body:
        if isinstance(node, ast.If) and is_main_guard(node):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Attribute) and function.attr in RUNNERS:
                base = function.value.id if isinstance(function.value, ast.Name) else "..."
                if base != "asyncio":
                    yield node.lineno, f"{base}.{function.attr}"
        for inner in ("body", "orelse"):
            nested = getattr(node, inner, None)
            if isinstance(node, ast.If | ast.Try | ast.With) and isinstance(nested, list):
                yield from _unguarded(nested)
