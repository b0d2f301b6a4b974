"""The written forms of who may pass: requirements, permissions, guard paths, header names.

Place:  [manifest.tables.requirements] -> manifest.tables.access, manifest.tables.identity
Rule:   pure; a form is judged here, whether the named role exists is for manifest.checks.
"""

from __future__ import annotations

import difflib
import re

from mergepoint.manifest.tables.amounts import refused
from mergepoint.manifest.tables.forms import parse_path

PLAIN = ("public", "user", "person", "service", "nobody")
NAMED = ("role", "group", "permission", "subject")
FORM = (
    'write "public", "user", "person", "service", "nobody", "role:NAME", "group:NAME", '
    '"permission:NAME" or "subject:NAME"'
)
ROLE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")
PERMISSION = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z0-9_-]+)*\Z")
USER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
PERMISSION_CHARACTERS_MAX = 100
GROUP_CHARACTERS_MAX = 128
METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"}
    | {"SEARCH", "PROPFIND", "PROPPATCH", "MKCOL", "MKCALENDAR", "COPY", "MOVE", "LOCK", "UNLOCK"}
    | {"REPORT", "CHECKOUT", "CHECKIN", "MERGE", "MKACTIVITY"}
)

_TOKEN = re.compile(r"[A-Z][A-Z0-9-]{0,31}\Z")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")


def parse_requirement(text: str) -> tuple[str, str]:
    """Return ``("role", "admin")`` of ``role:admin``; raise on any other form."""
    kind, colon, name = text.partition(":")
    if not colon:
        if text in PLAIN:
            return text, ""
        raise refused("is not a requirement", _meant(text))
    if kind not in NAMED:
        near = difflib.get_close_matches(kind, NAMED, 1, 0.6)
        fix = f'did you mean "{near[0]}:{name}"?' if near else FORM
        raise refused("is not a requirement", fix)
    fault = _name_fault(kind, name)
    if fault:
        raise refused(*fault)
    return kind, name


def _meant(text: str) -> str:
    near = difflib.get_close_matches(text, PLAIN, 1, 0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    if ROLE_NAME.match(text):
        return f'write "role:{text}", or one of "public", "user", "person", "service", "nobody"'
    return f'write "permission:{text}"' if PERMISSION.match(text) else FORM


def _name_fault(kind: str, name: str) -> tuple[str, str] | None:
    if kind == "role" and not ROLE_NAME.match(name):
        return "does not name a role", 'write "role:NAME" with the name of a [roles.NAME]'
    if kind == "permission" and name.endswith("*"):
        return "asks for no single permission", "ask for one; only a role grants several with *"
    if kind == "permission" and not is_permission(name):
        return "does not name a permission", 'write one such as "permission:tickets.edit"'
    if kind == "subject" and not USER_NAME.match(name):
        return "does not name a user", "write the name the person logs in with, in lower case"
    if kind == "group" and not is_group(name):
        return "does not name a group", f"use 1 to {GROUP_CHARACTERS_MAX} characters, no comma"
    return None


def is_permission(name: str) -> bool:
    """Tell whether `name` is a single permission such as ``tickets.edit``."""
    return len(name) <= PERMISSION_CHARACTERS_MAX and PERMISSION.match(name) is not None


def is_group(name: str) -> bool:
    """Tell whether a group of this name can stand in ``Remote-Groups``."""
    return 0 < len(name) <= GROUP_CHARACTERS_MAX and name.isprintable() and "," not in name


def parse_grant(text: str) -> str:
    """Return what a role grants: one permission, ``tickets.*`` or ``*``; raise on other forms."""
    stem = text.removesuffix(".*") if text != "*" else "all"
    if not is_permission(stem):
        fix = 'write "tickets.edit", "tickets.*" for all that begin so, or "*" for every one'
        raise refused("is not a permission", fix)
    return text


def parse_guard_path(text: str) -> str:
    """Return a clean path below the mount; raise where it could never match a request."""
    path = parse_path(text)
    if ";" in path:
        raise refused("contains ;", "leave the parameters out: guards see the path without them")
    return path


def parse_method(text: str) -> str:
    """Return a method in capitals as written; raise with the one that was probably meant."""
    if text in METHODS:
        return text
    near = difflib.get_close_matches(text.upper(), METHODS, 1, 0.7)
    if near:
        raise refused("is not a method", f'did you mean "{near[0]}"?')
    if not _TOKEN.match(text):
        raise refused("is not a method", 'write it in capitals, such as "POST"')
    return text


def parse_header(name: str) -> str:
    """Return a header's name in lower case; raise when no header can be called so."""
    if not _HEADER.match(name):
        fix = "use letters, digits and hyphens, such as X-WebAuth-User"
        raise refused(f'"{name[:64]}" is not a header name', fix)
    return name.lower()
