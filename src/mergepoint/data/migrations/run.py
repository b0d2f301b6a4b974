"""Running the migrations of one app: alembic's steps, each in a transaction, fenced.

Place:  cli.commands.migrate -> [migrations.run] -> alembic, migrations.fence, migrations.journal
Rule:   each app has a version table of its own, `alembic_version_APP`; a step that fails changes
        nothing, one that was killed half-way is told before anything else is done.

An app keeps its steps in `migrations/versions/*.py`, written as alembic's; an `env.py` is not used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from mergepoint.core.clock import Clock
from mergepoint.data.engines import Engines
from mergepoint.data.errors import MigrationRefused
from mergepoint.data.failures import meaning, words
from mergepoint.data.migrations import fence, journal

FOLDER = "migrations"
VERSIONS = "versions"


@dataclass(frozen=True)
class Step:
    """One migration."""

    revision: str
    message: str
    file: Path


@dataclass(frozen=True)
class Looked:
    """Where an app's database stands."""

    app: str
    at: str
    """The revision it is at; empty before the first."""
    waiting: tuple[Step, ...]
    """What would be run, in order."""
    interrupted: journal.Interrupted | None = None


def look(engines: Engines, app: str, folder: Path) -> Looked:
    """Return where the database stands; changes nothing. Raises `MigrationRefused`."""
    with _told(app):
        engine = engines.blocking()
        with engine.connect() as connection:
            at = _at(connection, app)
        return Looked(app, at, _waiting(folder, app, at), journal.left(engine, app))


def migrate(
    engines: Engines,
    clock: Clock,
    app: str,
    folder: Path,
    *,
    put_right: bool = False,
    wait_s: float = fence.WAIT_S,
) -> tuple[Step, ...]:
    """Run what is waiting and return it; nothing is waiting at the second call.

    `put_right`: a person has looked at a step that was interrupted outside of its transaction.
    Raises `MigrationRefused`, with what to do.
    """
    done = []
    with _told(app), fence.fenced(engines, clock, wait_s):
        engine = engines.blocking()
        if put_right:
            journal.forget(engine, app)
        _refuse_half_done(journal.left(engine, app), folder)
        for step in look(engines, app, folder).waiting:
            journal.begin(engine, clock, app, step.revision)
            _run(engine, app, folder, step)
            done.append(step)
    return tuple(done)


def _run(engine: Engine, app: str, folder: Path, step: Step) -> None:
    """Run one step and remove its note, in one transaction."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    scripts = _scripts(folder, app)

    def ended(**told: Any) -> None:  # Any: alembic's own
        journal.end(told["ctx"].connection, app)

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": version_table(app),
                "transactional_ddl": True,
                "transaction_per_migration": True,
                "on_version_apply": (ended,),
                "fn": lambda at, _: scripts._upgrade_revs(step.revision, at),
            },
        )
        context.autocommit_block = _noting(context.autocommit_block, engine, app)  # type: ignore[method-assign]
        with Operations.context(context), context.begin_transaction():
            context.run_migrations()


def _noting(leaving: Callable[[], Any], engine: Engine, app: str) -> Callable[[], Any]:
    """Return what leaves the step's transaction, noting that it does."""

    @contextlib.contextmanager
    def noted() -> Iterator[None]:
        if engine.dialect.name == "postgresql":
            journal.leave(engine, app)
        with leaving():
            if engine.dialect.name == "sqlite":  # it could not be written before the commit
                journal.leave(engine, app)
            yield

    return noted


def _at(connection: Connection, app: str) -> str:
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"version_table": version_table(app)})
    heads = context.get_current_heads()
    if len(heads) > 1:
        raise MigrationRefused(f"{app}: the database is at {len(heads)} revisions at once")
    return heads[0] if heads else ""


def _waiting(folder: Path, app: str, at: str) -> tuple[Step, ...]:
    from alembic.script.revision import RevisionError
    from alembic.util.exc import CommandError

    scripts = _scripts(folder, app)
    heads = scripts.get_heads()
    if len(heads) > 1:
        raise MigrationRefused(
            f"{app}: {folder} has {len(heads)} heads: {', '.join(sorted(heads))}",
            next="merge them: a step whose down_revision names both",
        )
    try:
        found = list(scripts.iterate_revisions(heads[0] if heads else "base", at or "base"))
    except (CommandError, RevisionError) as error:
        raise MigrationRefused(
            f"{app}: the database is at {at}, which {folder} does not have: {error}",
            next="a newer version of the app has migrated it; deploy that one",
        ) from None
    return tuple(
        Step(one.revision, one.doc or "", Path(one.path))
        for one in reversed(found)
        if one.revision != at
    )


def _scripts(folder: Path, app: str) -> Any:  # Any: alembic's ScriptDirectory
    from alembic.script import ScriptDirectory

    if not (folder / VERSIONS).is_dir():
        raise MigrationRefused(
            f"{app}: {folder / VERSIONS} is no directory", next="put alembic's steps there"
        )
    return ScriptDirectory(str(folder))


def version_table(app: str) -> str:
    """Return where an app's revision is kept. Pure."""
    return f"alembic_version_{app.replace('-', '_')}"


def _refuse_half_done(found: journal.Interrupted | None, folder: Path) -> None:
    if found is None or not found.outside:
        return
    raise MigrationRefused(
        f"{found.app}: step {found.revision} was interrupted outside of a transaction; a part of it"
        f" may be done (see {folder / VERSIONS})",
        next=f"undo that part (an index that is INVALID: DROP INDEX), then:"
        f" mergepoint migrate {found.app} --put-right",
    )


@contextlib.contextmanager
def _told(app: str) -> Iterator[None]:
    from alembic.util.exc import CommandError

    try:
        yield
    except DBAPIError as error:
        found = meaning(error.orig, connecting=True) if error.orig is not None else None
        if found is not None and error.connection_invalidated:
            raise found from error
        said = words(error.orig) if error.orig is not None else words(error)
        raise MigrationRefused(
            f"{app}: {said}", next="nothing of this step was done; mend it and run it again"
        ) from error
    except CommandError as error:
        raise MigrationRefused(f"{app}: {error}") from error
