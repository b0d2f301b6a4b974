"""Put the layers together: the file, its profile, .env in development, the environment, flags.

Place:  manifest.read -> [manifest.profiles] -> manifest.validate
Rule:   the order of precedence stands here, once, from the weakest to the strongest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergepoint.manifest.envfiles import Dotenv
from mergepoint.manifest.layers import From, Source, lay_address, lay_variables
from mergepoint.manifest.read import Document
from mergepoint.manifest.shown import KeyPath, quoted
from mergepoint.manifest.site import Mode
from mergepoint.manifest.tables.manifest import ProfileTable
from mergepoint.manifest.validate import Report
from mergepoint.manifest.words import nearest

OWN_PROFILES = ("development", "production")


def gather(
    document: Document,
    report: Report,
    profile: str,
    environ: Mapping[str, str],
    dotenv: Dotenv,
    overrides: Mapping[str, Any],
) -> Mode:
    """Fill `report.layers` and `dotenv`; return the mode the profile means."""
    layers = report.layers

    def from_file(path: KeyPath) -> Source:
        return Source(From.FILE, document.shown, document.lines.get(path, 0))

    base = {name: value for name, value in document.data.items() if name != "profiles"}
    layers.lay(base, from_file)
    chosen, mode = _profile(document, report, profile)

    def from_profile(path: KeyPath) -> Source:
        line = document.lines.get(("profiles", profile, *path), 0)
        return Source(From.PROFILE, document.shown, line)

    layers.lay(chosen, from_profile)
    if mode is Mode.DEVELOPMENT:
        dotenv.read(document.file.parent / ".env")
        lines = dotenv.lines
        lay_variables(
            layers, dotenv.variables, lambda name: Source(From.DOTENV, ".env", lines[name])
        )
    lay_variables(layers, environ, lambda name: Source(From.ENVIRONMENT, f"environment {name}"))
    for name, value in overrides.items():
        source = Source(From.FLAG, f"flag {name}")
        if name in {"port", "host"}:
            lay_address(layers, source, **{name: str(value)})
        else:
            layers.put(tuple(name.split(".")), value, source)
    return mode


def _profile(document: Document, report: Report, profile: str) -> tuple[dict[str, Any], Mode]:
    """Return the chosen profile's tables and its mode; report on every profile's shape."""
    profiles = document.data.get("profiles", {})
    if not isinstance(profiles, dict):
        report.layers.lay({"profiles": profiles}, lambda _: _at(document, ("profiles",)))
        report.add(
            ("profiles",), "must be a table", value=profiles, fix="write [profiles.production]"
        )
        profiles = {}
    for name, table in profiles.items():
        _shape(document, report, name, table)
    if profile not in profiles and profile not in OWN_PROFILES:
        known = [*OWN_PROFILES, *(name for name in profiles if name not in OWN_PROFILES)]
        fix = nearest(profile, known) or f"known: {', '.join(known)}"
        report.add((), f"there is no profile {quoted(profile)}", fix=fix)
    chosen = profiles.get(profile, {})
    chosen = chosen if isinstance(chosen, dict) else {}
    laid = [name for name in ProfileTable.model_fields if isinstance(chosen.get(name), dict)]
    return {name: chosen[name] for name in laid}, _mode(profile, chosen)


def _mode(profile: str, chosen: Mapping[str, Any]) -> Mode:
    written = chosen.get("mode")
    if written in {Mode.DEVELOPMENT.value, Mode.PRODUCTION.value}:
        return Mode(written)
    return Mode.DEVELOPMENT if profile == "development" else Mode.PRODUCTION


def _shape(document: Document, report: Report, name: str, table: Any) -> None:
    """Report unknown keys of a profile's top; its site and apps are checked once merged."""
    path: KeyPath = ("profiles", name)
    known = list(ProfileTable.model_fields)
    if not isinstance(table, dict):
        _note(document, report, path)
        report.add(path, "must be a table", value=table, fix=f"write [profiles.{name}.site]")
        return
    for key, value in table.items():
        inner = (*path, key)
        if key not in known:
            _note(document, report, inner)
            hint = nearest(key, known) or f"known here: {', '.join(known)}"
            report.add(inner, f"unknown key {quoted(key)}", fix=hint)
        elif key != "mode" and not isinstance(value, dict):
            _note(document, report, inner)
            report.add(inner, "must be a table", value=value, fix=f"write [profiles.{name}.{key}]")
        elif key == "mode" and value not in OWN_PROFILES:
            _note(document, report, inner)
            report.add(inner, 'must be "development" or "production"', value=value)


def _at(document: Document, path: KeyPath) -> Source:
    return Source(From.PROFILE, document.shown, document.lines.get(path, 0))


def _note(document: Document, report: Report, path: KeyPath) -> None:
    report.layers.sources[path] = _at(document, path)
