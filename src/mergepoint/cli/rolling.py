"""What `reload` and `restart` share: ask, show progress, tell what was rolled.

Place:  cli.commands.reload, cli.commands.restart -> [cli.rolling] -> cli.control
Rule:   a refused release ends with its reason and what to look at next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mergepoint.cli.control import ask, content
from mergepoint.cli.invocation import invocation
from mergepoint.cli.output import data, document, paint
from mergepoint.cli.progress import ProgressView
from mergepoint.cli.site import running


def roll(verb: str, apps: tuple[str, ...], arguments: Mapping[str, Any]) -> None:
    """Send `verb` for `apps` and print the outcome; raise what the supervisor refused."""
    site = running(invocation())
    site.check_apps(apps)
    with ProgressView(verb) as view:
        answer = ask(site.run_dir, verb, view.show, apps=list(apps), **arguments)
    if invocation().as_json:
        document(content(answer))
        return
    rolled, removed = answer.get("rolled", []), answer.get("removed", [])
    if not rolled and not removed:
        data("nothing changed" if verb == "reload" else "nothing to restart")
        return
    for word, entries in (("rolled", rolled), ("removed", removed)):
        if entries:
            data(f"{paint(word, 'ok')} {', '.join(str(entry) for entry in entries)}")
