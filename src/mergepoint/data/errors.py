"""What can be wrong with a database, or with what is asked of it.

Place:  [data.errors] -> all of data, apps, cli
Rule:   a leaf; no message carries an address with its password, or a value of a row.
"""

from __future__ import annotations

from mergepoint.core.errors import Exit, MergepointError


class DataError(MergepointError):
    """Anything of this package that a person can act on."""

    code = "data.error"


class DataRefused(DataError):
    """What was asked for is wrong; asking again cannot help."""

    code = "data.refused"


class NoDatabase(DataRefused):
    """The site names no database, or none of that name."""

    code = "data.no_database"
    exit = Exit.CONFIG


class DataUnavailable(DataError):
    """The database cannot do it now; nothing was committed, and trying again may help."""

    code = "data.unavailable"
    status = 503
    retry_after_s = 1


class ConnectionGone(DataUnavailable):
    """The connection ended before the transaction did; nothing of it was committed."""

    code = "data.connection_gone"


class Unreachable(DataUnavailable):
    """No connection could be made."""

    code = "data.unreachable"
    retry_after_s = 5


class Busy(DataUnavailable):
    """Another transaction held what this one needed; it was rolled back."""

    code = "data.busy"


class ReadOnly(DataUnavailable):
    """The database, or this transaction, takes no writes."""

    code = "data.read_only"
    retry_after_s = 30


class DiskFull(DataUnavailable):
    """There is no room; the transaction was rolled back, and what was committed is there."""

    code = "data.disk_full"
    retry_after_s = 30


class CommitUnknown(DataUnavailable):
    """The connection ended while it committed: the database knows what became of it, we do not."""

    code = "data.commit_unknown"


class MethodsRefused(DataRefused):
    """`.sql` files have mistakes; the message lists each with file:line."""

    code = "data.methods_refused"
    exit = Exit.CONFIG


class ParameterRefused(DataRefused):
    """A SQL method was called with a parameter it does not have, or of another type."""

    code = "data.parameter"


class ShapeRefused(DataError):
    """A SQL method gave another number of rows or columns than it declares."""

    code = "data.shape"


class QueryRefused(DataRefused):
    """A query, update or pipeline over documents that is not understood."""

    code = "data.query"


class DocumentRefused(DataRefused):
    """A document that cannot be kept: a type, a name, a size, or its collection's schema."""

    code = "data.document"


class DuplicateKey(DataRefused):
    """A document with this `_id`, or with this value of a unique index, is there already."""

    code = "data.duplicate_key"


class MigrationRefused(DataError):
    """Migrations cannot go on; the message says what to do."""

    code = "data.migration"
