"""Everything that is put in place before an app is loaded, once for each process.

Place:  host.tags -> [cache.hooks] -> cache.sqlite, cache.postgres, cache.strays
Rule:   nothing here changes what an app reads or writes; hooks stay for the life of the process.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from mergepoint.cache import postgres, sqlite
from mergepoint.cache.sources import Sources
from mergepoint.cache.strays import Strays


def install(sources: Sources, directory: str, beside: frozenset[str]) -> None:
    """Watch what is read from now on by whatever is loaded from now on."""
    sqlite.watch(sources)
    when_imported("psycopg", lambda module: postgres.watch(module, sources))
    when_imported("aiosqlite.core", sqlite.watch_async)
    sys.addaudithook(Strays(directory, beside).heard)


def when_imported(name: str, then: Any) -> None:
    """Call `then` with the module once it is loaded, or now if it is."""
    module = sys.modules.get(name)
    if module is not None:
        then(module)
    else:
        sys.meta_path.insert(0, _Awaited(name, then))


class _Awaited(importlib.abc.MetaPathFinder):
    """Finds one module as the others would, and hears when it has been loaded."""

    def __init__(self, name: str, then: Any) -> None:
        self._name = name
        self._then = then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target  # a module at the top has neither
        if fullname != self._name or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._then)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, then: Any) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._then(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # resources, sources: as the loader it stands for
