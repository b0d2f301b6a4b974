"""Migrations: each step whole or not at all, one runner at a time, half-done ones told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from mergepoint.core.clock import SystemClock
from mergepoint.data.errors import MigrationRefused
from mergepoint.data.migrations import fence
from mergepoint.data.migrations.run import look, migrate
from mergepoint.data.site import Data

CLOCK = SystemClock()
STEP = '''\
"""{message}"""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {down!r}


def upgrade():
{body}
'''


def write_step(folder: Path, revision: str, down: str | None, body: str) -> None:
    versions = folder / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    told = STEP.format(
        message=f"step {revision}", revision=revision, down=down,
        body=textwrap.indent(textwrap.dedent(body), "    "),
    )  # fmt: skip
    (versions / f"{revision}.py").write_text(told)


TABLE = 'op.create_table("{0}", sa.Column("id", sa.Integer, primary_key=True))'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "migrations"
    write_step(place, "0001", None, TABLE.format("first"))
    write_step(place, "0002", "0001", TABLE.format("second"))
    return place


def tables(data: Data) -> set[str]:
    return {name for name in inspect(data.engine()).get_table_names() if name in NAMES}


NAMES = {"first", "second", "third"}


def test_what_is_waiting_is_run_once_in_order(data: Data, folder: Path) -> None:
    engines = data.engines()
    assert [one.revision for one in look(engines, "shop", folder).waiting] == ["0001", "0002"]
    assert tables(data) == set()

    assert [one.revision for one in migrate(engines, CLOCK, "shop", folder)] == ["0001", "0002"]
    assert migrate(engines, CLOCK, "shop", folder) == ()
    assert look(engines, "shop", folder).at == "0002"
    assert tables(data) == {"first", "second"}


def test_each_app_has_its_own_history(data: Data, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_step(other, "0001", None, TABLE.format("third"))
    migrate(data.engines(), CLOCK, "shop", folder)

    assert [one.revision for one in migrate(data.engines(), CLOCK, "wiki", other)] == ["0001"]
    assert look(data.engines(), "shop", folder).at == "0002"


def test_a_step_that_fails_changes_nothing_and_the_ones_before_stay(
    data: Data, folder: Path
) -> None:
    write_step(
        folder, "0003", "0002", TABLE.format("third") + '\nop.execute("SELECT * FROM nothing")'
    )
    with pytest.raises(MigrationRefused, match="nothing") as refused:
        migrate(data.engines(), CLOCK, "shop", folder)

    assert "nothing of this step was done" in refused.value.next
    assert tables(data) == {"first", "second"}
    assert look(data.engines(), "shop", folder).at == "0002"
    write_step(folder, "0003", "0002", TABLE.format("third"))
    assert [one.revision for one in migrate(data.engines(), CLOCK, "shop", folder)] == ["0003"]


def test_two_who_migrate_at_once_run_each_step_once(data: Data, make_data, folder: Path) -> None:
    done: list[int] = []
    others = [make_data() for _ in range(3)]

    def work(own: Data) -> None:
        done.append(len(migrate(own.engines(), CLOCK, "shop", folder)))

    threads = [threading.Thread(target=work, args=(own,)) for own in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(done) == [0, 0, 2]


def test_a_fence_that_is_held_too_long_is_told(data: Data, make_data, folder: Path) -> None:
    with (
        fence.fenced(data.engines(), CLOCK),
        pytest.raises(MigrationRefused, match="another migration"),
    ):
        migrate(make_data().engines(), CLOCK, "shop", folder, wait_s=0.2)

    assert len(migrate(data.engines(), CLOCK, "shop", folder)) == 2


RUNNER = """
import sys
from pathlib import Path
from mergepoint.core.clock import SystemClock
from mergepoint.data.config import of_urls
from mergepoint.data.migrations.run import migrate
from mergepoint.data.site import Data
clock = SystemClock()
migrate(Data(of_urls({"main": sys.argv[1]}), clock).engines(), clock, "shop", Path(sys.argv[2]))
"""


def killed_in(data: Data, folder: Path) -> None:
    """Run the migrations in a process that is killed once a step says that it is there."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", RUNNER, data.databases[0].url, str(folder)],
        pass_fds=(writing,),
        env={**os.environ, "READY": str(writing)},
    )
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(reading)


HANG = 'import os, time\nos.write(int(os.environ["READY"]), b"x")\ntime.sleep(600)\n'


def test_a_step_killed_in_its_transaction_leaves_nothing_and_begins_anew(
    data: Data, folder: Path
) -> None:
    write_step(folder, "0003", "0002", TABLE.format("third") + "\n" + HANG)
    killed_in(data, folder)

    found = look(data.engines(), "shop", folder)
    assert found.interrupted is not None
    assert (found.interrupted.revision, found.interrupted.outside) == ("0003", False)
    write_step(folder, "0003", "0002", TABLE.format("third"))
    assert [one.revision for one in migrate(data.engines(), CLOCK, "shop", folder)] == ["0003"]
    assert look(data.engines(), "shop", folder).interrupted is None


def test_a_step_killed_outside_of_its_transaction_is_told_until_it_is_put_right(
    data: Data, folder: Path
) -> None:
    body = TABLE.format("third") + "\nwith op.get_context().autocommit_block():\n"
    write_step(folder, "0003", "0002", body + textwrap.indent(HANG, "    "))
    killed_in(data, folder)

    with pytest.raises(MigrationRefused, match="step 0003 was interrupted outside") as refused:
        migrate(data.engines(), CLOCK, "shop", folder)
    assert "mergepoint migrate shop --put-right" in refused.value.next
    assert tables(data) == {"first", "second", "third"}
    with data.session() as session:
        session.execute(text("DROP TABLE third"))
    write_step(folder, "0003", "0002", TABLE.format("third"))
    done = migrate(data.engines(), CLOCK, "shop", folder, put_right=True)
    assert [one.revision for one in done] == ["0003"]


def test_a_database_that_is_ahead_of_the_app_is_refused(data: Data, folder: Path) -> None:
    migrate(data.engines(), CLOCK, "shop", folder)
    (folder / "versions" / "0002.py").unlink()

    with pytest.raises(MigrationRefused, match="the database is at 0002"):
        migrate(data.engines(), CLOCK, "shop", folder)


def test_two_heads_and_no_folder_are_refused(data: Data, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MigrationRefused, match="is no directory"):
        look(data.engines(), "shop", tmp_path / "none")
    write_step(folder, "0002b", "0001", TABLE.format("third"))
    with pytest.raises(MigrationRefused, match="2 heads: 0002, 0002b"):
        look(data.engines(), "shop", folder)
