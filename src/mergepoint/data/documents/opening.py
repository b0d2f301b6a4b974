"""Which adapter keeps a collection: by the address of its database.

Place:  data.site -> [documents.opening] -> documents.collection, documents.mongo
Rule:   loads a driver only for the address that needs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mergepoint.data.config import chosen
from mergepoint.data.contract import Databases
from mergepoint.data.documents.contract import Documents
from mergepoint.data.documents.schema import validator

MONGODB = ("mongodb:", "mongodb+srv:")


def opened(
    data: Databases, collection: str, database: str, schema: Mapping[str, Any] | None
) -> Documents:
    """Return the collection; connects to nothing yet."""
    one = chosen(data.databases, database)
    if one.url.startswith(MONGODB):
        from mergepoint.data.documents.mongo import MongoDocuments, client_of

        return cast(Documents, MongoDocuments(client_of(one), collection, one.bounds, schema))
    from mergepoint.data.documents.collection import TableDocuments
    from mergepoint.data.documents.operations import Operations

    operations = Operations(
        collection, data.kind(database), one.bounds, validator(schema, collection)
    )
    return cast(Documents, TableDocuments(data, database, operations))
