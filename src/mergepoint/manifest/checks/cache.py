"""What a cache needs beside it.

Place:  manifest.load -> [manifest.checks.cache]
Rule:   pure; single values were checked with their tables.
"""

from __future__ import annotations

from mergepoint.manifest.tables.amounts import size_text
from mergepoint.manifest.validate import Draft, Report


def check_cache(draft: Draft, report: Report) -> None:
    """Report room that does not hold one answer."""
    table = draft.cache
    if table is not None and not draft.cache_broken and table.answer_max > table.room:
        message = (
            f"answer_max {size_text(table.answer_max)} is more than room {size_text(table.room)}"
        )
        report.add(("cache", "answer_max"), message, fix=f'write "{size_text(table.room)}" or less')
