"""Find the tasks that imported modules declare.

Place:  tasks.runner.child -> [runner.finding]
Rule:   looks at what the modules hold; nothing registers itself anywhere.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from mergepoint.tasks.declare import Task, Tasks
from mergepoint.tasks.errors import RunnerRefused


def load(modules: Iterable[str]) -> tuple[dict[str, Task[..., Any]], list[Tasks]]:
    """Import them; return their tasks by name, and the registries that declared them.

    Submodules that the import loaded count too. Raises `RunnerRefused` when there are none.
    """
    tasks: dict[str, Task[..., Any]] = {}
    registries: dict[int, Tasks] = {}
    for name in modules:
        importlib.import_module(name)
        for module in _loaded(name):
            for held in list(vars(module).values()):
                registry = _registry(held)
                if isinstance(held, Task):
                    tasks.setdefault(held.name, held)
                elif registry is not None:
                    registries[id(registry)] = registry
                    tasks.update(registry.declared)
    if not tasks:
        raise RunnerRefused(
            f"{', '.join(modules)}: no tasks are declared there",
            next="declare some with @site.tasks.task",
        )
    return tasks, list(registries.values())


def _loaded(name: str) -> list[ModuleType]:
    return [
        module
        for known, module in list(sys.modules.items())
        if known == name or known.startswith(name + ".")
    ]


def _registry(held: Any) -> Tasks | None:
    if isinstance(held, Tasks):
        return held
    # A site; asked of its own attributes alone, since others may do anything when they are read.
    found = getattr(held, "tasks", None) if type(held).__module__.startswith("mergepoint") else None
    return found if isinstance(found, Tasks) else None
