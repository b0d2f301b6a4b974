"""The examples of the page about balance run as they are printed."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/balance.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
GIVEN = """
def render(ticket):
    return ticket * 2

def price(row):
    return row
"""


def test_every_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [ast.parse(block) for block in BLOCK.findall(PAGE.read_text())]
    assert len(blocks) == 3
    nodes = [node for block in blocks for node in block.body]
    kept = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ImportFrom)]
    rest = [n for n in nodes if n not in kept]
    source = ast.unparse(ast.Module([*kept, *ast.parse(GIVEN).body], []))
    (tmp_path / "balance_page.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    written: list[object] = []
    archive = type("Archive", (), {"write": staticmethod(written.append)})
    names = {
        **vars(importlib.import_module("balance_page")),
        "picture": b"", "rows": range(100), "total": 0, "tickets": range(6), "archive": archive,
    }  # fmt: skip
    code = compile(ast.Module(rest, []), str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def run() -> None:
        running = eval(code, names)
        if inspect.isawaitable(running):
            await running

    asyncio.run(run())
    sys.modules.pop("balance_page")
    assert names["total"] == sum(range(100))
    assert written == [0, 2, 4, 6, 8, 10]
    assert names["small"] is None
