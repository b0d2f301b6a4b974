"""`mergepoint reload`: roll what changed; a release that fails never takes traffic.

Place:  cli.main -> [cli.commands.reload] -> supervisor.client
Rule:   exit 1 when a release was refused, with its reason; the old one keeps serving.
"""

from __future__ import annotations

import click

from mergepoint.cli.completing import complete_apps
from mergepoint.cli.invocation import common_options, json_option


def _share(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Read ``10%`` or ``0.1`` as a share between 0 and 1."""
    if value is None:
        return None
    text = value.strip()
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise click.BadParameter(f"{value!r} is not a share; write 10% or 0.1")
    return share


@click.command()
@click.argument("apps", nargs=-1, shell_complete=complete_apps)
@click.option(
    "--canary", callback=_share, metavar="SHARE", help="Give the new release this share first: 10%."
)
@click.option(
    "--watch",
    "watch_s",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a canary is watched before it takes everything.",
)
@json_option
@common_options
def command(apps: tuple[str, ...], canary: float | None, watch_s: float) -> None:
    """Roll what changed; a release that fails never takes traffic.

    Without APPS the manifest and the code are compared with what runs, and only what changed is
    rolled. The new processes start beside the old ones, must answer their readiness path and smoke
    list, and only then take traffic. If they do not, the old ones keep serving and this exits 1.
    """
    from mergepoint.cli.rolling import roll

    arguments: dict[str, object] = {"watch_s": watch_s}
    if canary is not None:
        arguments["canary"] = canary
    roll("reload", apps, arguments)
