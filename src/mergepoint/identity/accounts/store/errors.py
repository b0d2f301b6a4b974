"""What a lost or busy database looks like to everybody above the store.

Place:  [store.errors] -> service, edge_calls, pages, cli
Rule:   no message carries a query, a value, or the database's address.
"""

from __future__ import annotations

from mergepoint.core.errors import MergepointError


class StoreLost(MergepointError):
    """The accounts database cannot be asked now; trying again may help."""

    code = "accounts.store_lost"


class StoreRefused(MergepointError):
    """The accounts database is there but cannot be used: wrong address, rights, or version."""

    code = "accounts.store_refused"
