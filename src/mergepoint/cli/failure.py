"""From an exception to words, and from words to an exit code.

Place:  cli.main -> [cli.failure] -> stderr
Rule:   a user's mistake never shows a traceback; a bug of ours writes it to a file and names it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from typing import Any

import click

from mergepoint import __version__
from mergepoint.cli.invocation import Invocation
from mergepoint.core.errors import Exit, MergepointError


def report(error: BaseException, invocation: Invocation) -> int:
    """Print `error` as its reader needs it and return the exit code."""
    if isinstance(error, MergepointError):
        return _told(error, invocation)
    if isinstance(error, click.exceptions.Exit):
        return int(error.exit_code)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        sys.stderr.write(error.format_message() + "\n")
        return int(Exit.USAGE)
    if isinstance(error, click.ClickException):
        return _usage(error, invocation)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return int(Exit.INTERRUPTED)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(Exit.FAILED)
    if isinstance(error, BrokenPipeError):
        return _pipe_closed()
    return _bug(error, invocation)


def _told(error: MergepointError, invocation: Invocation) -> int:
    _document(error.code, error.message, error.next, invocation)
    _say("error", error.message, invocation)
    if error.next:
        _say("next", error.next, invocation)
    return int(error.exit)


def _usage(error: click.ClickException, invocation: Invocation) -> int:
    message = error.format_message()
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "mergepoint"
    following = f"{path} --help"
    _document("usage", message, following, invocation)
    _say("error", message, invocation)
    _say("next", following, invocation)
    return int(Exit.USAGE if isinstance(error, click.UsageError) else Exit.FAILED)


def _pipe_closed() -> int:
    """End quietly when the reader of our stdout has gone, as `head` does."""
    sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 - lives until the process ends
    return int(Exit.OK)


def _bug(error: BaseException, invocation: Invocation) -> int:
    text = "".join(traceback.format_exception(error))
    header = f"mergepoint {__version__}\npython {sys.version}\nargv {sys.argv[1:]}\n\n"
    kind = f"{type(error).__name__}: {error}".strip()
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="mergepoint-bug-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(header + text)
        where = file.name
    except OSError:
        sys.stderr.write(text)
        where = "the lines above"
    _document("bug", kind, f"report it with {where}", invocation)
    _say("error", f"this is a bug in mergepoint: {kind}", invocation)
    _say("next", f"report it with {where}", invocation)
    return int(Exit.FAILED)


def _say(label: str, text: str, invocation: Invocation) -> None:
    colored = invocation.colors(sys.stderr)
    shown = click.style(label, fg="red" if label == "error" else "cyan", bold=True)
    first, *rest = text.split("\n")
    lines = [f"{shown if colored else label}: {first}", *rest]
    sys.stderr.write("\n".join(lines) + "\n")


def _document(code: str, message: str, following: str, invocation: Invocation) -> None:
    if not invocation.as_json:
        return
    document: dict[str, Any] = {
        "schema": 1,
        "error": {"code": code, "message": message, "next": following},
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
