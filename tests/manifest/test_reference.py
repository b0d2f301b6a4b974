"""The reference page and the JSON Schema say what the tables say, today.

Place:  make test
Rule:   mend a stale file with `python tools/manifest_reference.py`, never by hand.
"""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mergepoint.core.problems import Severity
from mergepoint.manifest.load import inspect
from mergepoint.manifest.tables.manifest import ManifestTable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "manifest_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_files_are_what_the_tool_writes(tool: ModuleType) -> None:
    for file, write in tool.FILES.items():
        assert file.read_text() == write(), f"python {tool.__file__}"


def models(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"ManifestTable": schema, **schema["$defs"]}


def test_every_key_has_a_description_and_an_entry_in_the_page() -> None:
    page = (ROOT / "docs" / "reference" / "manifest.md").read_text()
    schema = json.loads((ROOT / "docs" / "reference" / "mergepoint.schema.json").read_text())

    for name, model in models(schema).items():
        assert model["additionalProperties"] is False, name
        for key, entry in model["properties"].items():
            target = schema["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else {}
            said = entry.get("description") or target.get("description")
            assert said, f"{name}.{key} has no description"
            assert f"`{key}`" in page or name == "ManifestTable", f"{key} is not in the page"


def test_the_schema_has_every_key_of_the_tables() -> None:
    schema = json.loads((ROOT / "docs" / "reference" / "mergepoint.schema.json").read_text())

    assert set(schema["properties"]) == set(ManifestTable.model_fields)
    assert {"AppTable", "SiteTable", "MemberTable", "ListenTable"} <= set(schema["$defs"])


def test_the_pages_example_has_a_sound_shape(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "manifest.md").read_text()
    example = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert example is not None
    tomllib.loads(example[1])
    file = tmp_path / "mergepoint.toml"
    file.write_text(example[1])
    for name in ("front.py", "tickets/tickets.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("def create_app(): ...\n\n\napp = create_app()\n")
    (tmp_path / "public").mkdir()

    assert inspect(file, profile="development", environ={}).problems == ()
    production = inspect(file, profile="production", environ={}).problems
    errors = {p.path for p in production if p.severity is Severity.ERROR}
    assert errors <= {f"site.tls.certificates[0].{key}" for key in ("cert", "key")}
