"""What a type checker should know of SQL methods: a Protocol to annotate them with.

Place:  cli.commands.sql -> [methods.stubs] -> methods.contract
Rule:   pure; the same files give the same text.

    tickets: Queries = site.data.methods("queries/")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mergepoint.data.methods.contract import REQUIRED, Method, Parameter, Shape

IMPORTS = {
    "date": "import datetime",
    "datetime": "import datetime",
    "time": "import datetime",
    "Decimal": "import decimal",
    "UUID": "import uuid",
}
NAMES = {
    "date": "datetime.date",
    "datetime": "datetime.datetime",
    "time": "datetime.time",
    "Decimal": "decimal.Decimal",
    "UUID": "uuid.UUID",
    "json": "Any",
    "": "Any",
}


def stub(methods: Iterable[Method], class_name: str) -> str:
    """Return a Python module with one Protocol."""
    each = sorted({method.name: method for method in methods}.values(), key=lambda one: one.name)
    imports = {IMPORTS[kind] for one in each for kind in _kinds(one) if kind in IMPORTS}
    modules = {f"import {_module(one)}" for one in each if _is_class(one)}
    lines = [
        '"""Made from .sql files by `mergepoint sql stubs`; changes here are lost."""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import AsyncIterator, Iterator",
        "from typing import Any, Protocol",
        "",
        *sorted(imports | modules),
        *([""] if imports | modules else []),
        "",
        f"class {class_name}(Protocol):",
        '    """SQL methods."""',
        *(line for method in each for line in _functions(method)),
    ]
    return "\n".join(lines) + "\n"


def _functions(method: Method) -> Iterator[str]:
    parameters = "".join(f", {_parameter(one)}" for one in method.parameters)
    tail = "session: Any = None"
    one = _class(method)
    returned = {
        Shape.ROWS: f"list[{one}]",
        Shape.ONE: one,
        Shape.OPTIONAL: f"{one} | None",
        Shape.SCALAR: "Any" if not method.target else f"{_name(method.target)} | None",
        Shape.AFFECTED: "int",
        Shape.STREAM: f"Iterator[{one}]",
    }[method.shape]
    doc = f'        """{method.doc or method.name}"""'.replace("\\", "\\\\")
    yield ""
    yield f"    def {method.name}(self{parameters}, *, {tail}) -> {returned}:"
    yield from (doc, "        ...")
    word = "def" if method.shape is Shape.STREAM else "async def"
    yield ""
    yield f"    {word} a{method.name}(self{parameters}, *, {tail}) -> " + (
        f"AsyncIterator[{one}]:" if method.shape is Shape.STREAM else f"{returned}:"
    )
    yield from (doc, "        ...")


def _parameter(one: Parameter) -> str:
    kind = _name(one.type)
    if one.is_list:
        kind = f"list[{kind}]"
    if one.type and (one.nullable or one.default is None):
        kind += " | None"
    default = "" if one.default is REQUIRED else f" = {one.default!r}"
    return f"{one.name}: {kind}{default}"


def _name(kind: str) -> str:
    return NAMES.get(kind, kind)


def _kinds(method: Method) -> list[str]:
    kinds = [one.type for one in method.parameters]
    return [*kinds, method.target] if method.shape is Shape.SCALAR else kinds


def _is_class(method: Method) -> bool:
    return bool(method.target) and method.shape is not Shape.SCALAR


def _module(method: Method) -> str:
    return method.target.partition(":")[0]


def _class(method: Method) -> str:
    return method.target.replace(":", ".") if _is_class(method) else "Any"
