"""FastAPI: who asks as a dependency, and what they need as another:

    from mergepoint.identity.adapters.fastapi import Who, needs
    async def me(who: Who): return who.user                              # anonymous is let in
    async def edit(who: Annotated[Identity, Depends(needs("tickets.edit"))]): ...

Place:  FastAPI -> [adapters.fastapi] -> identity.finding, identity.demand
Rule:   a refusal is Starlette's HTTPException, or closes a WebSocket before it was accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from mergepoint.identity import Identity, of, requires

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mergepoint.identity.demand import Names


async def identity(connection: HTTPConnection) -> Identity:
    """Return who asks; anonymous when nobody was proven."""
    return of(connection)


Who = Annotated[Identity, Depends(identity)]


def needs(
    *permissions: str, role: Names = None, group: Names = None
) -> Callable[[HTTPConnection], Awaitable[Identity]]:
    """Return a dependency that gives the Identity to those `requires` would let in."""
    return requires(*permissions, role=role, group=group)(identity)
