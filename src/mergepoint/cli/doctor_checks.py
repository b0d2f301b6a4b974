"""The checks of `mergepoint doctor`, in the order they are printed.

Place:  cli.commands.doctor -> [cli.doctor_checks] -> cli.doctor_machine, cli.doctor_site
Rule:   a check that cannot be made is a warning that says so, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterator

from mergepoint.cli import doctor_machine, doctor_site
from mergepoint.cli.doctor_result import Check, Result
from mergepoint.cli.invocation import Invocation
from mergepoint.core.errors import MergepointError


def examine(asked: Invocation) -> list[Result]:
    """Run every check; those of the site only where there is a manifest."""
    results = [result for check in doctor_machine.CHECKS for result in _safely(check)]
    try:
        site_checks = doctor_site.checks(asked)
    except MergepointError as error:
        first = error.message.partition("\n")[0]
        state = "failed" if asked.config else "warning"
        return [*results, Result("manifest", state, first, error.next)]
    return results + [result for check in site_checks for result in _safely(check)]


def _safely(check: Check) -> Iterator[Result]:
    try:
        yield from check()
    except (OSError, ValueError, MergepointError) as error:
        name = check.__name__.strip("_").replace("_", " ")
        yield Result(name, "warning", f"could not be checked: {error}")
