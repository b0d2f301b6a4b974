"""Lay the file, a profile, .env, the environment and flags over each other, and remember who won.

Place:  manifest.read -> [manifest.layers] -> manifest.validate, manifest.settings
Rule:   flag > environment > .env > profile > file > default; tables merge, all else replaces.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mergepoint.manifest.shown import KeyPath
from mergepoint.manifest.tables.app import KINDS

PREFIX = "MERGEPOINT__"


class From(StrEnum):
    """Which layer a value came from."""

    FILE = "file"
    PROFILE = "profile"
    DOTENV = ".env"
    ENVIRONMENT = "environment"
    FLAG = "flag"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value was written: a line of a file, a variable, or a flag."""

    layer: From
    file: str
    """File name, or ``environment NAME``, or ``flag NAME``."""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(slots=True)
class Layers:
    """The merged document, and the source of every path in it."""

    data: dict[str, Any] = field(default_factory=dict)
    sources: dict[KeyPath, Source] = field(default_factory=dict)

    def lay(self, over: Mapping[str, Any], source_of: Callable[[KeyPath], Source]) -> None:
        """Merge `over` on top."""
        self._merge(self.data, over, (), source_of)

    def put(self, path: KeyPath, value: Any, source: Source) -> None:
        """Set one value, making the tables above it; what stands in its way is replaced."""
        table = self.data
        for part in path[:-1]:
            inner = table.get(str(part))
            if not isinstance(inner, dict):
                inner = table[str(part)] = {}
            table = inner
        for end in range(1, len(path)):
            self.sources.setdefault(path[:end], source)
        table[str(path[-1])] = value
        self._forget(path)
        self._remember(path, value, lambda _: source)

    def source(self, path: KeyPath) -> Source | None:
        """Return the source of the path, or of the nearest table above it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.sources:
                return self.sources[path[:end]]
        return None

    def value(self, path: KeyPath) -> Any:
        """Return what stands at the path in the merged document; None when nothing does."""
        value: Any = self.data
        for part in path:
            if isinstance(part, int):
                value = value[part] if isinstance(value, list) and part < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return value

    def _merge(
        self,
        base: dict[str, Any],
        over: Mapping[str, Any],
        path: KeyPath,
        source_of: Callable[[KeyPath], Source],
    ) -> None:
        for name, value in over.items():
            inner = (*path, name)
            if isinstance(base.get(name), dict) and isinstance(value, dict):
                if len(inner) == 2 and inner[0] == "apps":
                    self._change_kind(base[name], value, inner)
                self._merge(base[name], value, inner, source_of)
                continue
            base[name] = _copied(value)
            self._forget(inner)
            self._remember(inner, value, source_of)

    def _change_kind(self, base: dict[str, Any], over: Mapping[str, Any], path: KeyPath) -> None:
        """An upper layer that names a kind replaces the kind below, instead of adding a second."""
        if any(kind in over for kind in KINDS):
            for kind in KINDS:
                if base.pop(kind, None) is not None:
                    self._forget((*path, kind))

    def _forget(self, path: KeyPath) -> None:
        for known in [known for known in self.sources if known[: len(path)] == path]:
            del self.sources[known]

    def _remember(self, path: KeyPath, value: Any, source_of: Callable[[KeyPath], Source]) -> None:
        self.sources[path] = source_of(path)
        inner: Any = value.items() if isinstance(value, dict) else ()
        if isinstance(value, list):
            inner = enumerate(value)
        for name, entry in inner:
            self._remember((*path, name), entry, source_of)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(entry) for name, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def lay_variables(
    layers: Layers, variables: Mapping[str, str], source_of: Callable[[str], Source]
) -> None:
    """Lay ``MERGEPOINT__SITE__ACCESS_LOG``-like variables, PORT and the like on top.

    A value is read as TOML where it is TOML, else as text.
    """
    for name in sorted(variables):
        if name.startswith(PREFIX):
            path = _path(layers.data, name.removeprefix(PREFIX))
            if path:
                layers.put(path, parsed(variables[name]), source_of(name))
    if variables.get("FORWARDED_ALLOW_IPS"):
        named = [part.strip() for part in variables["FORWARDED_ALLOW_IPS"].split(",")]
        trusted = [
            net for part in named for net in (["0.0.0.0/0", "::/0"] if part == "*" else [part])
        ]
        layers.put(("site", "trusted_proxies"), trusted, source_of("FORWARDED_ALLOW_IPS"))
    for name in ("HOST", "PORT"):
        if variables.get(name):
            lay_address(layers, source_of(name), **{name.lower(): variables[name]})


def lay_address(layers: Layers, source: Source, *, host: str = "", port: str = "") -> None:
    """Change the host or the port of the first listener, leaving everything else about it."""
    site = layers.data.get("site")
    listen = site.get("listen", "127.0.0.1:8000") if isinstance(site, dict) else "127.0.0.1:8000"
    first = listen[0] if isinstance(listen, list) and listen else listen
    address = first.get("address", "") if isinstance(first, dict) else first
    if not isinstance(address, str) or "unix:" in address:
        address = "127.0.0.1:8000"
    scheme, _, bare = address.rpartition("://")
    old_host, _, old_port = bare.rpartition(":")
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    changed: Any = f"{scheme}://" if scheme else ""
    changed += f"{host or old_host}:{port or old_port}"
    if isinstance(first, dict):
        changed = {**first, "address": changed}
    rest = listen[1:] if isinstance(listen, list) else []
    layers.put(("site", "listen"), [changed, *rest], source)


def _path(data: Mapping[str, Any], name: str) -> KeyPath:
    """Return the key path meant by ``APPS__MY_APP__THREADS``; an app's own spelling wins."""
    parts: list[str | int] = [part.lower() for part in name.split("__") if part]
    apps = data.get("apps")
    if len(parts) > 1 and parts[0] == "apps" and isinstance(apps, dict):
        spelled = {str(app).lower().replace("-", "_"): app for app in apps}
        parts[1] = spelled.get(str(parts[1]), parts[1])
    if len(parts) > 3 and parts[2] == "env":
        parts[3:] = ["__".join(name.split("__")[3:])]
    return tuple(parts)


def parsed(text: str) -> Any:
    """Return the TOML value in `text`, or `text` itself where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except (ValueError, RecursionError):
        return text
