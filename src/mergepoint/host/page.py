"""The page for a member that cannot serve: which one, why, and what to do.

Place:  host.together -> [host.page]
Rule:   pure; in production it names the member and nothing of its code.
"""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .failure import Failure

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:4rem auto;padding:0 1rem}}
code{{overflow-wrap:anywhere}}@media(prefers-color-scheme:dark){{body{{background:#111;color:#ddd}}}}
</style>
<h1>{title}</h1>
{details}
</html>
"""


def of_failure(
    path: str, failure: Failure | None, development: bool, accept: str
) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of a 503 for the member at `path`, or of a 404 without failure."""
    if failure is None:
        told = {"error": f"nothing is mounted at {path}"}
    else:
        told = {"error": f"{path} cannot be served just now"}
        if development:
            told.update(reason=failure.reason, where=failure.where, next=failure.next)
    if "application/json" in accept and "text/html" not in accept:
        kind, body = "application/json", json.dumps(told)
    else:
        rest = [(key, value) for key, value in told.items() if key != "error"]
        details = "".join(f"<p>{key}: <code>{html.escape(value)}</code></p>" for key, value in rest)
        title = html.escape(told["error"][0].upper() + told["error"][1:])
        kind, body = "text/html; charset=utf-8", _PAGE.format(title=title, details=details)
    data = body.encode("utf-8")
    headers = [("Content-Type", kind), ("Content-Length", str(len(data)))]
    headers.append(("Cache-Control", "no-store"))
    return headers, data
