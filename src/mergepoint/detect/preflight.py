"""What will go wrong when an app becomes part of this site, each with the fix.

Place:  cli.add, cli.checkup -> [detect.preflight] -> detect.checks.*
Rule:   a list of pure checks; each looks at one subject, or at a pair of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mergepoint.detect.candidate import Finding
from mergepoint.detect.checks.cookies import cookie_clashes
from mergepoint.detect.checks.django import django_findings
from mergepoint.detect.checks.links import link_findings
from mergepoint.detect.checks.mounts import mount_clashes
from mergepoint.detect.checks.ports import port_findings
from mergepoint.detect.checks.requirements import requirement_clashes, requirement_findings
from mergepoint.detect.checks.source import source_findings
from mergepoint.detect.subject import Subject, subject_of_app
from mergepoint.manifest.site import Site

Alone = Callable[[Subject, Sequence[Subject]], Iterator[Finding]]
Pair = Callable[[Subject, Subject], Iterator[Finding]]

ALONE: tuple[Alone, ...] = (
    source_findings,
    requirement_findings,
    port_findings,
    django_findings,
    link_findings,
)
PAIRS: tuple[Pair, ...] = (mount_clashes, cookie_clashes, requirement_clashes)
ORDER = {"error": 0, "warning": 1, "note": 2}


def findings(subject: Subject, others: Sequence[Subject]) -> list[Finding]:
    """Return everything about `subject` beside `others`, the gravest first."""
    found = [finding for check in ALONE for finding in check(subject, others)]
    for check in PAIRS:
        for other in others:
            found.extend(check(subject, other))
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda finding: ORDER[finding.severity])


def site_findings(site: Site) -> Iterator[tuple[str, Finding]]:
    """Yield app name and finding for a whole site; a pair of apps is reported once."""
    subjects: list[Subject] = []
    for name, app in site.apps.items():
        if app.builtin or (app.static is None and not app.kind.has_processes):
            continue
        if name in site.failures:
            continue
        subject = subject_of_app(app)
        everyone = [s for s in subjects if s.name != name]
        for finding in findings(subject, everyone):
            if finding.severity != "note" and finding.code not in IN_MANIFEST:
                yield name, finding
        subjects.append(subject)


IN_MANIFEST = frozenset({"mount_taken"})
"""Codes that the manifest's own checks report better, with the line of both."""
