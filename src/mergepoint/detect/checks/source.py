"""What is wrong with the source itself: files that do not parse, a picture that was cut.

Place:  detect.preflight -> [detect.checks.source]
Rule:   pure; only what would stop a worker from starting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mergepoint.detect.candidate import Finding
from mergepoint.detect.python_apps import syntax_errors
from mergepoint.detect.subject import Subject
from mergepoint.detect.tree import FILES_MAX

SHOWN_MAX = 3


def source_findings(subject: Subject, others: Sequence[Subject]) -> Iterator[Finding]:  # noqa: ARG001
    """Report Python files that do not parse, and a tree too large to be seen whole."""
    if subject.kind in {"wsgi", "asgi"}:
        for count, (where, message) in enumerate(syntax_errors(subject.tree)):
            if count == SHOWN_MAX:
                break
            yield Finding("warning", "syntax", f"not Python: {message}", "mend the syntax", where)
    if subject.tree.cut:
        yield Finding(
            "note",
            "cut",
            f"only the first {FILES_MAX} files were looked at",
            "nothing to do; some advice may be missing",
        )
