"""What methods and documents need of `site.data`.

Place:  [data.contract] <- data.site, data.methods, data.documents
Rule:   a protocol alone, so that parts of this package do not import the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from mergepoint.core.clock import Clock
from mergepoint.data.config import Bounds, Database

if TYPE_CHECKING:
    from mergepoint.data.engines import Engines
    from mergepoint.data.sessions import SiteAsyncSession, SiteSession


class Databases(Protocol):
    """The databases of one process."""

    @property
    def databases(self) -> Sequence[Database]:
        """Each of them."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def development(self) -> bool:
        """Whether somebody is developing."""
        ...

    @property
    def record(self) -> Any:
        """What was seen of queries, or None."""
        ...

    def bounds(self, database: str = "") -> Bounds:
        """Return what a database may cost."""
        ...

    def kind(self, database: str = "") -> str:
        """Return `sqlite` or `postgresql`."""
        ...

    def engines(self, database: str = "") -> Engines:
        """Return a database's pools."""
        ...

    def session(self, database: str = "", *, read_only: bool = False) -> SiteSession:
        """Return a session; see `site.Data.session`."""
        ...

    def asession(self, database: str = "", *, read_only: bool = False) -> SiteAsyncSession:
        """Return an asynchronous session."""
        ...
