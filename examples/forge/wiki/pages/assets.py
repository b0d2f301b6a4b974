"""The admin's own style sheets and scripts, at whatever mount the wiki has.

Place:  urls, templates -> [assets] -> django.contrib.staticfiles
Rule:   only files that the finders know; never a path from the address.
"""

from __future__ import annotations

import mimetypes
from pathlib import Path
from urllib.parse import quote

from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import FileResponse, Http404, HttpRequest
from django.urls import get_script_prefix

KEPT_S = 3600


class MountedStatic(StaticFilesStorage):
    """Addresses below the mount of the request at hand.

    Django's own storage remembers the mount of whoever asked first, which may be nobody.
    """

    def url(self, name: str | None) -> str:
        """Return the address of a static file."""
        return f"{get_script_prefix()}static/{quote(name or '')}"


def static(_request: HttpRequest, path: str) -> FileResponse:
    """Answer a static file of an installed Django app."""
    found = finders.find(path)
    if not isinstance(found, str) or not Path(found).is_file():
        raise Http404
    kind = mimetypes.guess_type(found)[0] or "application/octet-stream"
    opened = Path(found).open("rb")  # noqa: SIM115 - the response closes it
    response = FileResponse(opened, content_type=kind)
    response.headers["Cache-Control"] = f"public, max-age={KEPT_S}"
    return response
