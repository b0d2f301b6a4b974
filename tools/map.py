"""Print the packages in the order a request travels, with the first sentence of each.

Place:  make map
Rule:   reads ARCHITECTURE's order from the import contract; nothing is written twice.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ORDER = ("manifest", "assembly", "edge", "supervisor", "host", "feed", "core", "detect", "cli")


def first_sentence(init: Path) -> str:
    """Return the first line of a module's docstring, or an empty string."""
    doc = ast.get_docstring(ast.parse(init.read_text())) if init.exists() else None
    return (doc or "").partition("\n")[0]


def main() -> None:
    """Print one line per package, then one per module."""
    for package in ORDER:
        folder = ROOT / "src" / "mergepoint" / package
        if not folder.is_dir():
            continue
        print(f"{package + '/':14}{first_sentence(folder / '__init__.py')}")
        for module in sorted(folder.rglob("*.py")):
            if module.name != "__init__.py":
                name = str(module.relative_to(folder))
                print(f"  {name:20}{first_sentence(module)}")


if __name__ == "__main__":
    main()
