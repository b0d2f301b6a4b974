"""What a User-Agent says to a person: a browser, a system, a picture.

Place:  pages.sessions -> [pages.device]
Rule:   pure; only to recognise one's own devices, never to decide anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Vivaldi", "Vivaldi"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox/", "Firefox"), ("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("Chrome/", "Chrome"),
    ("Safari/", "Safari"), ("curl/", "curl"), ("git/", "git"), ("python", "Python"),
)  # fmt: skip
"""Names as they appear, the more particular first: Edge calls itself Chrome and Safari too."""
_SYSTEMS = (
    ("iPhone", "iPhone", "phone"), ("iPad", "iPad", "phone"), ("Android", "Android", "phone"),
    ("Windows", "Windows", "computer"), ("Mac OS X", "macOS", "computer"),
    ("CrOS", "ChromeOS", "computer"), ("Linux", "Linux", "computer"), ("BSD", "BSD", "computer"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Device:
    """A device as its owner would call it; `picture` is the name of an icon."""

    name: str
    picture: str


def device(agent: str, say: Callable[..., str]) -> Device:
    """Return what `agent` looks like, in the words of `say`."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system, picture = next(
        ((name, picture) for mark, name, picture in _SYSTEMS if mark in agent), ("", "computer")
    )
    if browser and system:
        return Device(say("sessions.device", browser=browser, system=system), picture)
    return Device(browser or system or agent[:60] or say("sessions.unknown"), picture)
