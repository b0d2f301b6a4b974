"""What an app serves, in one cell of a table.

Place:  cli.commands.routes, cli.commands.explain -> [cli.targets]
Rule:   pure; the value as it stands in the manifest, not a paraphrase.
"""

from __future__ import annotations

import shlex

from mergepoint.manifest.site import App


def serves(app: App) -> str:
    """Return ``shop.wsgi:application``, the command, the directory, or the URL of an app."""
    if app.command:
        return shlex.join(app.command)
    if app.static is not None:
        return str(app.static.root)
    if app.redirect is not None:
        return f"{app.redirect.status} {app.redirect.to}"
    if app.members:
        return ", ".join(f"{member.path} {member.target}" for member in app.members)
    return app.target + ("()" if app.factory and not app.target.endswith("()") else "")
