"""Lengths: the one an answer announces, and one for a chunked request body.

Place:  host.wsgi -> [host.length]
Rule:   bounded memory: beyond MEMORY_BYTES_MAX the body waits in a temporary file.

WSGI has no word for a body without CONTENT_LENGTH. Django and many plain apps then read nothing,
and Bottle decodes the chunks a second time; no browser sends such bodies, but programs do.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import IO

MEMORY_BYTES_MAX = 1 << 20
READ_BYTES = 1 << 16


def give(environ: dict[str, Any]) -> IO[bytes] | None:
    """Replace wsgi.input by a measured copy; return it to be closed, None when nothing was done."""
    if "chunked" not in environ["HTTP_TRANSFER_ENCODING"].lower():
        return None
    copy = tempfile.SpooledTemporaryFile(MEMORY_BYTES_MAX)  # noqa: SIM115 - closed by the caller
    source, size = environ["wsgi.input"], 0
    while True:
        chunk = source.read(READ_BYTES)
        if not chunk:
            break
        copy.write(chunk)
        size += len(chunk)
    copy.seek(0)
    environ["wsgi.input"] = copy
    environ["CONTENT_LENGTH"] = str(size)
    del environ["HTTP_TRANSFER_ENCODING"]
    return copy


def announced(headers: Iterable[tuple[str, str]]) -> int | None:
    """Return the Content-Length of an answer's head, None without one that is a number; pure."""
    for name, value in headers:
        if len(name) == 14 and name.lower() == "content-length":
            return int(value) if value.isdecimal() else None
    return None
