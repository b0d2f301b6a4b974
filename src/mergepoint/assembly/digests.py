"""Digests by which the supervisor knows that running processes are no longer what is wanted.

Place:  assembly.build, assembly.messages -> [assembly.digests]
Rule:   the same parts give the same digest in every process and after every restart.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any


def digest(parts: list[Any]) -> str:
    """Return 16 characters that change when any of the parts does."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the digest of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digest(*roots: Path) -> str:
    """Return a digest of the content of every Python and SQL file below some folders."""
    files = sorted(
        path for root in roots for path in root.rglob("*") if path.suffix in {".py", ".sql"}
    )
    return digest([(str(path), path.read_bytes()) for path in files])
