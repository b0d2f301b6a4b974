"""The entry point: which commands exist, and what every invocation shares.

Place:  shell -> [cli.main] -> cli.commands.*
Rule:   imports click and nothing heavier; a command's module is imported when that command runs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from mergepoint import __version__
from mergepoint.cli.invocation import Invocation, common_options

SECTIONS: dict[str, dict[str, str]] = {
    "Make a site": {
        "new": "Make a small site that runs at once.",
        "add": "Add an app you already have; finds out how it is started.",
        "check": "Check the manifest and everything it points to.",
        "run": "Run the site for development; a changed app restarts alone.",
        "start": "Run the site for production, in the foreground.",
    },
    "Look at a running site": {
        "status": "Show apps, processes, memory and failures.",
        "logs": "Show what the processes printed.",
        "inflight": "Show the requests being worked on now.",
        "metrics": "Print metrics in Prometheus' text format.",
        "balance": "Show which routes compute and which wait, and what to change.",
        "cache": "Look at what the edge keeps, and drop it.",
    },
    "Change a running site": {
        "reload": "Roll what changed; a release that fails never takes traffic.",
        "restart": "Roll every process of an app, or of all apps.",
        "scale": "Change how many processes an app has.",
        "stop": "Finish what is open and stop the site.",
    },
    "Messages and tasks": {
        "bus": "Look at topics and queues, publish and listen.",
        "tasks": "Look at tasks, run them, try them again, end them.",
        "deadletters": "Look at messages that nobody could handle, and replay them.",
        "presence": "List which addresses are there.",
    },
    "Databases": {
        "feed": "Log the changes of databases, and look at what is read.",
        "db": "Look at databases, open a shell in one, see what queries cost.",
        "sql": "List SQL methods with their times; check them; write their types.",
        "migrate": "Bring databases to what the apps' code expects.",
    },
    "Say who may do what": {
        "users": "Add people and services, and change what they may do.",
        "tokens": "Make, list and revoke API tokens.",
        "keys": "List and rotate the keys of identity.",
    },
    "Understand": {
        "routes": "List which path belongs to which app.",
        "explain": "Say which app answers a URL, and why.",
        "config": "Show the configuration and where each value comes from.",
        "doctor": "Look for what would keep a site from running here.",
        "completion": "Print the completion script for your shell.",
    },
}
"""Every command with its one line, so that `--help` imports none of them."""

_LINES = {name: line for section in SECTIONS.values() for name, line in section.items()}


class Commands(click.Group):
    """The command group; knows names and one-line helps, imports a command on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return every command in the order of `SECTIONS`."""
        return list(_LINES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command, or None when there is none of that name."""
        if cmd_name not in _LINES:
            return None
        module = importlib.import_module(f"mergepoint.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a wrong name is answered with the nearest ones."""
        name = args[0]
        if name not in _LINES and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.NoSuchCommand(name, possibilities=_LINES, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands by section."""
        for title, lines in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(lines.items()), col_max=12)

    def shell_complete(
        self, ctx: click.Context, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Complete command names from the table, without importing commands."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(n, help=h) for n, h in _LINES.items() if n.startswith(incomplete)]


command = common_options(
    click.version_option(__version__, message="mergepoint %(version)s")(
        Commands(
            "mergepoint",
            help="Merge small web apps, in any framework or language, into one site.",
            epilog="Start here: mergepoint new mysite && cd mysite && mergepoint run",
            context_settings={"help_option_names": ["-h", "--help"]},
        )
    )
)
"""The whole command line, as click sees it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with a code of `core.errors.Exit`."""
    invocation = Invocation()
    try:
        code = command.main(
            args=list(arguments) if arguments is not None else None,
            prog_name="mergepoint",
            standalone_mode=False,
            obj=invocation,
        )
    except BaseException as error:  # the last frame; `report` decides what is a bug
        from mergepoint.cli.failure import report

        code = report(error, invocation)
    sys.exit(code if isinstance(code, int) else 0)


__all__ = ["command", "main"]
