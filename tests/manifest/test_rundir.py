"""The run directory is short enough for sockets, the same for all who ask, and private.

Place:  make test
Rule:   real directories and modes.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mergepoint.core.errors import MergepointError
from mergepoint.manifest.rundir import (
    RUN_DIR_BYTES_MAX,
    SOCKET_PATH_BYTES_MAX,
    make_run_dir,
    run_dir_of,
)

LONG = Path("/srv") / ("long" * 20) / ".mergepoint"


def test_a_short_state_directory_holds_its_own_run_directory() -> None:
    assert run_dir_of(Path("/srv/acme"), {}, 1000) == Path("/srv/acme/run")


def test_a_long_one_moves_to_the_users_runtime_directory_or_to_tmp() -> None:
    by_session = run_dir_of(LONG, {"XDG_RUNTIME_DIR": "/run/user/1000"}, 1000)
    without = run_dir_of(LONG, {}, 1000)

    assert by_session.parent == Path("/run/user/1000")
    assert without.parent == Path("/tmp")
    assert without == run_dir_of(LONG, {"XDG_RUNTIME_DIR": "relative"}, 1000)
    assert without != run_dir_of(LONG / "other", {}, 1000)
    assert without != run_dir_of(LONG, {}, 1001)


def test_the_longest_socket_name_fits_into_every_choice() -> None:
    name = f"/{'a' * 32}.511.g9999999.sock"
    for directory in (Path("/srv") / ("x" * (RUN_DIR_BYTES_MAX - 9)), LONG, Path("/srv/ü" * 12)):
        run_dir = run_dir_of(directory, {"XDG_RUNTIME_DIR": "/run/user/" + "9" * 40}, 2**32 - 2)
        assert len(os.fsencode(f"{run_dir}{name}")) <= SOCKET_PATH_BYTES_MAX


def test_it_is_made_private_and_narrowed(tmp_path: Path) -> None:
    run_dir = tmp_path / "state" / "run"
    make_run_dir(run_dir)
    run_dir.chmod(0o755)
    make_run_dir(run_dir)

    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(MergepointError, match="not a directory of this user"):
        make_run_dir(tmp_path / "run")
