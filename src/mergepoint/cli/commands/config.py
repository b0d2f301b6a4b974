"""`mergepoint config show|schema`: the configuration in force, and the shape of the manifest.

Place:  cli.main -> [cli.commands.config] -> manifest.settings, manifest.tables
Rule:   values as the manifest writes them, secrets redacted; works while the manifest has errors.
"""

from __future__ import annotations

from typing import Any

import click

from mergepoint.cli.invocation import common_options, json_option


@click.group()
@common_options
def command() -> None:
    """Show the configuration and where each value comes from."""


@command.command()
@click.argument("prefix", required=False)
@click.option("--origin", is_flag=True, help="Where each value was written.")
@click.option("--all", "everything", is_flag=True, help="Defaults too.")
@json_option
@common_options
def show(prefix: str | None, origin: bool, everything: bool) -> None:
    """Show every value in force; PREFIX narrows it: site, apps.wiki, apps.wiki.timeouts.

    A flag wins over the environment, that over .env (development only), the profile, the file, the
    default.
    """
    from dataclasses import asdict

    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, document, paint, say
    from mergepoint.cli.site import look
    from mergepoint.core.errors import Exit
    from mergepoint.manifest.load import refusal
    from mergepoint.manifest.settings import list_settings

    loaded = look(invocation())
    rows = list_settings(loaded)
    if not rows and loaded.site is None:
        raise refusal(loaded.problems)
    if prefix:
        rows = tuple(r for r in rows if f"{r.path}.".startswith(f"{prefix.rstrip('.')}."))
    if not everything and not invocation().as_json:
        rows = tuple(r for r in rows if r.layer != "default" or prefix)
    if invocation().as_json:
        file = str(loaded.document.file) if loaded.document else ""
        document({"file": file, "settings": [asdict(row) for row in rows]})
        return
    width = max((len(r.path) + len(r.value) + 3 for r in rows), default=0)
    for row in rows:
        text = f"{row.path} = {row.value}"
        data(f"{text:<{min(width, 72)}}  {paint(row.origin, 'dim')}" if origin else text)
    if not rows:
        say(f"nothing is set below {prefix!r}" if prefix else "every value is a default: --all")
    if loaded.site is None:
        say("the manifest has errors: mergepoint check")
        click.get_current_context().exit(Exit.CONFIG)


@command.command()
@common_options
def schema() -> None:
    """Print the JSON Schema of the manifest, for editors.

    In mergepoint.toml: #:schema ./mergepoint.schema.json
    """
    import json

    from mergepoint.cli.output import data
    from mergepoint.manifest.tables.manifest import ManifestTable

    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_without_titles(ManifestTable.model_json_schema(mode="validation")),
        "title": "mergepoint.toml",
    }
    data(json.dumps(document, indent=2, ensure_ascii=False))


def _without_titles(value: Any, *, names: bool = False) -> Any:
    """Drop titles that only repeat a key's name, and our own notes; keep a key called title."""
    if isinstance(value, list):
        return [_without_titles(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_titles(entry, names=key in {"properties", "$defs"})
        for key, entry in value.items()
        if names or key not in {"title", "stands_for"}
    }
