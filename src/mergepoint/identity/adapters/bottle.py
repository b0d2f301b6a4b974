"""Bottle: `identity` as an argument of a view, and what a route needs beside its path:

    from mergepoint.identity.adapters.bottle import IdentityPlugin
    app.install(IdentityPlugin())
    @app.post("/edit", requires="tickets.edit")
    def edit(identity): ...

Place:  Bottle -> [adapters.bottle] -> identity.finding, identity.demand
Rule:   routes and views that name neither are left alone.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any

import bottle  # type: ignore[import-untyped]

from mergepoint.identity import of, requires

if TYPE_CHECKING:
    from collections.abc import Callable


class IdentityPlugin:
    """A plugin of Bottle's API 2. `requires=` takes a permission or a list; any of them will do."""

    name = "mergepoint.identity"
    api = 2

    def __init__(self, keyword: str = "identity") -> None:
        self.keyword = keyword

    def apply(self, callback: Callable[..., Any], route: Any) -> Callable[..., Any]:
        """Return the view guarded and given its identity, as far as the route asks for either."""
        wanted = route.config.get("requires")
        if wanted is not None:
            callback = requires(*([wanted] if isinstance(wanted, str) else wanted))(callback)
        if self.keyword not in inspect.signature(route.callback).parameters:
            return callback

        @wraps(callback)
        def informed(*args: Any, **kwargs: Any) -> Any:
            kwargs[self.keyword] = of(bottle.request)
            return callback(*args, **kwargs)

        return informed
