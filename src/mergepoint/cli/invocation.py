"""What the user asked for besides the command itself: which site, how loud, in which form.

Place:  cli.main -> [cli.invocation] -> cli.commands.*
Rule:   options work before and after the command name; the one given later wins.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Invocation:
    """The common options as given; None where the user said nothing."""

    config: Path | None = None
    profile: str | None = None
    quiet: bool = False
    no_color: bool = False
    verbosity: int = 0
    as_json: bool = False

    def colors(self, stream: Any) -> bool:
        """Tell whether `stream` may carry colours: a terminal, and nobody objected."""
        if self.no_color or os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        return bool(stream.isatty())

    def interactive(self) -> bool:
        """Tell whether a person sits at both ends: keys may be read, progress may be drawn."""
        return sys.stdin.isatty() and sys.stderr.isatty() and not self.quiet


def invocation() -> Invocation:
    """Return the invocation of the command now running; the defaults outside of one."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Invocation) if context is not None else None
    return found if found is not None else Invocation()


def _keep(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        target = ctx.ensure_object(Invocation)
        if value:
            setattr(target, field, Path(value) if field == "config" else value)

    return keep


def _common() -> list[click.Option]:
    def option(*names: str, field: str, **more: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_keep(field), **more)

    return [
        option(
            "--config",
            field="config",
            metavar="FILE",
            envvar="MERGEPOINT_CONFIG",
            type=click.Path(dir_okay=True),
            help="Manifest to use; otherwise mergepoint.toml here or above.",
        ),
        option(
            "--profile",
            field="profile",
            metavar="NAME",
            envvar="MERGEPOINT_PROFILE",
            help="development, production, or one of the manifest's own.",
        ),
        option("--quiet", "-q", field="quiet", is_flag=True, help="Say nothing but errors."),
        option("--no-color", field="no_color", is_flag=True, help="No colours (also NO_COLOR)."),
        option("-v", "--verbose", field="verbosity", count=True, help="Say more; -vv says most."),
    ]


def common_options(function: F) -> F:
    """Give a command the options every command has; they land in the `Invocation`."""
    _remember(function, _common())
    return function


def json_option(function: F) -> F:
    """Give a read command `--json`: one document on stdout that carries ``"schema": 1``."""
    option = click.Option(
        ["--json"],
        expose_value=False,
        is_flag=True,
        callback=_keep("as_json"),
        help='Answer as JSON, with a "schema" number.',
    )
    _remember(function, [option])
    return function


def _remember(function: Any, options: list[click.Option]) -> None:
    if isinstance(function, click.Command):
        function.params.extend(options)
        return
    known = getattr(function, "__click_params__", [])
    function.__click_params__ = [*reversed(options), *known]
