"""From the reason of a failure to the command that mends it, where one is known.

Place:  cli.first_screen -> [cli.remedy]
Rule:   a table of patterns; says nothing rather than something doubtful.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mergepoint.manifest.site import App

DISTRIBUTIONS: Mapping[str, str] = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "flask_sqlalchemy": "flask-sqlalchemy",
    "jwt": "pyjwt",
    "markdown_it": "markdown-it-py",
    "MySQLdb": "mysqlclient",
    "rest_framework": "djangorestframework",
    "serial": "pyserial",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Import names whose distribution is called differently."""

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_NAME = re.compile(r"ImportError: cannot import name '(\w+)' from '([\w.]+)'")
_NODE = re.compile(r"Cannot find (?:module|package) '([^./'][^']*)'")
_ATTRIBUTE = re.compile(r"(?:module '([\w.]+)' )?has no attribute '(\w+)'")


def remedy(reason: str, app: App) -> str:
    """Return what to type or change, or an empty text."""
    missing = _MISSING.search(reason)
    if missing:
        return _install(missing[1], app)
    if _NODE.search(reason):
        return f"cd {app.directory} && npm install"
    if _NAME.search(reason):
        return "another version may be installed: compare requirements with the app's environment"
    attribute = _ATTRIBUTE.search(reason)
    if attribute and app.target:
        key = str(app.kind)
        return f'{key} = "{app.target}" in {app.origin} must name what the module defines'
    if "Permission denied" in reason and app.user is None:
        return f"look at the permissions of {app.directory}"
    return ""


def _install(module: str, app: App) -> str:
    top = module.split(".")[0]
    own = app.target.partition(":")[0].split(".")[0]
    if top == own:
        return (
            f"{app.directory} holds no module {top!r}: see wsgi, asgi and directory at {app.origin}"
        )
    python = str(app.python) if app.python else "python"
    return f"{python} -m pip install {DISTRIBUTIONS.get(top, top)}"
