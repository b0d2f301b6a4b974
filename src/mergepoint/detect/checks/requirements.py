"""Distributions an app needs and its environment lacks, and pins of two apps that cannot both hold.

Place:  detect.preflight -> [detect.checks.requirements]
Rule:   compares names in the environment with what the project writes; runs no installer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mergepoint.detect.candidate import Finding
from mergepoint.detect.frameworks import PACKAGES
from mergepoint.detect.requirements import (
    Requirement,
    read_requirements,
    requirements_file,
    satisfies,
)
from mergepoint.detect.serving import installed
from mergepoint.detect.subject import Subject

SHOWN_MAX = 5


def requirement_findings(
    subject: Subject,
    others: Sequence[Subject],  # noqa: ARG001 - the signature of every check
) -> Iterator[Finding]:
    """Report what is missing from the app's environment, and what is there in another version."""
    if subject.python is None or subject.kind not in {"wsgi", "asgi"}:
        return
    present = installed(subject.python, (subject.settings or {}).get("PYTHONPATH", ""))
    if subject.server not in present:
        yield Finding(
            "error",
            "no_server",
            f"no {subject.server} in {subject.python.parent.parent} to serve the app",
            f"{subject.python} -m pip install {subject.server}",
        )
    framework = subject.framework.lower()
    if framework in PACKAGES and framework not in present:
        yield Finding(
            "error",
            "no_framework",
            f"{subject.framework} is not installed in {subject.python.parent.parent}",
            f"mergepoint add --venv makes the app an environment, or: "
            f"{subject.python} -m pip install {framework}",
        )
    needed = [r for r in read_requirements(subject.tree) if not r.marked]
    missing = [r for r in needed if r.name not in present and r.name != framework]
    if missing:
        names = ", ".join(r.name for r in missing[:SHOWN_MAX])
        more = f" and {len(missing) - SHOWN_MAX} more" if len(missing) > SHOWN_MAX else ""
        yield Finding(
            "error",
            "not_installed",
            f"{names}{more} not installed in {subject.python.parent.parent}",
            f"{subject.python} -m pip install {_install(subject)}",
            missing[0].where,
        )
    for wrong in needed:
        if wrong.name in present and not satisfies(present[wrong.name], wrong):
            yield Finding(
                "warning",
                "other_version",
                f"{wrong.name} {present[wrong.name]} is installed, {wrong.spec} is asked for",
                "give the app an environment of its own: mergepoint add --venv",
                wrong.where,
            )


def requirement_clashes(subject: Subject, other: Subject) -> Iterator[Finding]:
    """Report needs of two apps in one environment that no single version can meet."""
    if subject.python is None or subject.python != other.python:
        return
    theirs = {r.name: r for r in read_requirements(other.tree)}
    for mine in read_requirements(subject.tree):
        against = theirs.get(mine.name)
        if against is not None and exclude_each_other(mine, against):
            yield Finding(
                "error",
                "pins_clash",
                f"needs {mine.name}{mine.spec}, {other.name} needs {against.name}{against.spec}, "
                "and both use one environment",
                "give one of them its own: mergepoint add --venv",
                mine.where,
            )


def exclude_each_other(one: Requirement, two: Requirement) -> bool:
    """Tell whether an exact pin of one is refused by the other; ranges alone are not judged."""
    for pinned, against in ((one, two), (two, one)):
        for operator, version in pinned.clauses:
            if operator == "==" and not version.endswith(".*") and not satisfies(version, against):
                return True
    return False


def _install(subject: Subject) -> str:
    what = requirements_file(subject.tree)
    if what == ".":
        return str(subject.tree.root)
    return what.replace("-r ", f"-r {subject.tree.root}/")
