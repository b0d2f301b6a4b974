"""How alembic runs the steps: on the connection `store.migrate` hands over, inside its transaction.

Place:  alembic -> [migrations.env] -> migrations.versions
Rule:   opens no connection, commits nothing, reads no file.
"""

from __future__ import annotations

from alembic import context

from mergepoint.identity.accounts.store.migrate import VERSION_TABLE
from mergepoint.identity.accounts.store.models import Model

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Model.metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,  # the transaction is the caller's
)
context.run_migrations()
