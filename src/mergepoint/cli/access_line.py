"""One request in the log as a developer reads it: method, path, status, time.

Place:  cli.run_reporter -> [cli.access_line]
Rule:   pure; a line of another form is left as it is.
"""

from __future__ import annotations

import json
import re

_COMBINED = re.compile(
    r'^\S+ \S+ \S+ \[[^\]]+\] "(?P<method>\S+) (?P<path>\S+)[^"]*" (?P<status>\d{3}) [\d-]+'
    r'(?: "[^"]*" "[^"]*")?(?: "(?P<app>[^"]*)" .*? (?P<took>[\d.]+)ms [\d.]+ms)?'
)
STATUS_STYLES = {"2": "ok", "3": "link", "4": "warn", "5": "bad"}


def short_access(text: str) -> tuple[str, str, str] | None:
    """Return app, the short line and the style of its status; None when it is no access line."""
    found = _COMBINED.match(text)
    if found is not None:
        took = f"{float(found['took']):.1f} ms" if found["took"] else ""
        return _line(found["app"] or "", found["method"], found["path"], found["status"], took)
    if not text.startswith("{"):
        return None
    try:
        entry = json.loads(text)
        took = f"{float(entry['duration_ms']):.1f} ms" if "duration_ms" in entry else ""
        return _line(
            str(entry.get("app") or ""), entry["method"], entry["path"], str(entry["status"]), took
        )
    except (ValueError, KeyError, TypeError):
        return None


def _line(app: str, method: str, path: str, status: str, took: str) -> tuple[str, str, str]:
    return app, f"{method} {path}  {status}  {took}".rstrip(), STATUS_STYLES.get(status[:1], "")
