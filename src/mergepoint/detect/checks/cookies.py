"""Cookies of the same name from two apps of one host: each logs the other's users out.

Place:  detect.preflight -> [detect.checks.cookies]
Rule:   pure; a cookie bound to its own mount clashes with nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mergepoint.detect.candidate import Finding
from mergepoint.detect.checks.mounts import within
from mergepoint.detect.frameworks import COOKIES, CookieUse
from mergepoint.detect.subject import Subject
from mergepoint.manifest.site import PrefixMode

SOURCES = (".py", ".js", ".mjs", ".cjs", ".ts", ".toml", ".cfg", ".ini")


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie an app sets, the path it is bound to, and how to rename it."""

    name: str
    path: str
    use: CookieUse


def cookie_clashes(subject: Subject, other: Subject) -> Iterator[Finding]:
    """Report every cookie name that both set where a browser cannot tell them apart."""
    if not _share_a_host(subject, other):
        return
    theirs = {cookie.name: cookie for cookie in cookies_of(other)}
    for cookie in cookies_of(subject):
        clash = theirs.get(cookie.name)
        if clash is None or _apart(cookie.path, clash.path):
            continue
        new = f"{subject.name.replace('-', '_')}_{cookie.name}"
        yield Finding(
            "warning",
            "cookie_clash",
            f"sets the cookie {cookie.name!r} for {cookie.path}, as {other.name} does for "
            f"{clash.path}: each overwrites or misreads the other's",
            cookie.use.rename.replace("{new}", new),
        )


def cookies_of(subject: Subject) -> list[Cookie]:
    """Return the session cookies this app sets, as its source names them."""
    found = []
    for use in COOKIES.get(subject.framework, ()):
        if use.evidence and not _used(subject, use):
            continue
        name = _setting(subject, use.setting) or use.name
        path = _setting(subject, use.setting.replace("_NAME", "_PATH")) or "/"
        if subject.prefix is PrefixMode.STRIP and path == "/":
            path = subject.mount or "/"
        found.append(Cookie(name, path, use))
    return found


def _used(subject: Subject, use: CookieUse) -> bool:
    pattern = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in use.evidence))
    return any(True for _ in subject.find(pattern, (*SOURCES, "package.json")))


def _setting(subject: Subject, name: str) -> str:
    """Return the text a setting is given in the source or the environment, empty when it is not."""
    for variable, value in (subject.settings or {}).items():
        if variable.endswith(name):
            return value
    if "_" not in name:
        return ""
    pattern = re.compile(rf"\b{re.escape(name)}\b[\"']?\]?\s*[=:]\s*[\"']([^\"']+)[\"']")
    return next((hit.text for hit in subject.find(pattern, SOURCES)), "")


def _share_a_host(subject: Subject, other: Subject) -> bool:
    hosts = {host for host, _ in subject.mounts}
    others = {host for host, _ in other.mounts}
    return "*" in hosts or "*" in others or bool(hosts & others)


def _apart(path: str, other: str) -> bool:
    return not within(path, other) and not within(other, path)
