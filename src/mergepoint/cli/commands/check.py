"""`mergepoint check`: everything that is wrong with the manifest and what it points to, at once.

Place:  cli.main -> [cli.commands.check] -> manifest.load, detect
Rule:   reads only; exit 78 for a refused manifest, 1 for an app that could not start, else 0.
"""

from __future__ import annotations

import click

from mergepoint.cli.invocation import common_options, json_option


@click.command()
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@json_option
@common_options
def command(strict: bool) -> None:
    """Check the manifest and everything it points to.

    Prints every error and warning with file and line, the value and the fix: wrong keys, missing
    directories, venvs without a server, ports in use, cookies and links that will clash.
    """
    from mergepoint.cli.checkup import checkup
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import count, data, document, paint, say
    from mergepoint.core.errors import Exit
    from mergepoint.core.problems import Severity

    result = checkup(invocation())
    if invocation().as_json:
        document(result.as_dict())
    else:
        for problem in result.problems:
            style = "warn" if problem.severity is Severity.WARNING else "bad"
            where, _, rest = str(problem).partition(": ")
            data(f"{paint(where, 'bold')}: {paint(rest, style)}")
        wrong = sum(p.severity is not Severity.WARNING for p in result.problems)
        warned = len(result.problems) - wrong
        if result.problems:
            say(f"{count(wrong, 'error')}, {count(warned, 'warning')}")
        if not wrong:
            say(f"{result.file}: {count(result.apps, 'app')}, ready to run: mergepoint run")
    if result.refused:
        click.get_current_context().exit(Exit.CONFIG)
    if any(p.severity is not Severity.WARNING for p in result.problems) or (
        strict and result.problems
    ):
        click.get_current_context().exit(Exit.FAILED)
