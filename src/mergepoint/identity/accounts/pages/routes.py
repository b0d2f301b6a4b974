"""What a page is: its address, who may see it, and how fresh their proof must be.

Place:  pages.* -> [pages.routes] -> pages.wiring
Rule:   a table; a page that names nobody is for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from flask import Response

View = Callable[..., Response]


class Needs(Enum):
    """Who may see a page."""

    NOBODY = "nobody"
    LOGIN = "login"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Route:
    """One page; `recent` are the methods that need a fresh proof of who one is."""

    path: str
    endpoint: str
    view: View
    methods: tuple[str, ...] = ("GET",)
    needs: Needs = Needs.LOGIN
    recent: tuple[str, ...] = ()


class Pages(Protocol):
    """A group of pages."""

    def routes(self) -> Sequence[Route]:
        """Return the pages of this group."""
        ...
