"""Control groups are used where they are delegated, and nothing fails where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mergepoint.supervisor import cgroup
from mergepoint.supervisor.contract import ProcessLimits

LIMITS = ProcessLimits(memory_bytes_max=100, cpu_share=0.5)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A directory that looks like our delegated group."""
    group = tmp_path / "system.slice" / "site.service"
    group.mkdir(parents=True)
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (group / "cgroup.controllers").write_text("cpu memory pids")
    return group


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0::/system.slice/site.service\n", "system.slice/site.service"),
        ("1:cpu:/x\n0::/a/mergepoint.supervisor\n", "a"),
        ("0::/\n", None),
        ("1:cpu:/x\n", None),
    ],
)
def test_our_group_is_found(own: Path, tmp_path: Path, text: str, found: str | None) -> None:
    assert cgroup.own_group(text, tmp_path) == (tmp_path / found if found else None)


def test_without_the_unified_hierarchy_there_is_no_group(tmp_path: Path) -> None:
    assert cgroup.own_group("0::/x\n", tmp_path) is None
    assert cgroup.Groups(None).group_for("shop", 0, LIMITS) == ""


def test_a_slot_gets_a_group_with_its_bounds_and_we_move_to_a_leaf(own: Path) -> None:
    groups = cgroup.Groups(own)
    assert groups.usable
    group = Path(groups.group_for("shop", 1, LIMITS))
    assert group == own / "mergepoint.apps" / "shop.1"
    assert (group / "cpu.max").read_text() == "50000 100000"
    assert (group / "memory.max").read_text() == "200"
    assert (own / "mergepoint.supervisor" / "cgroup.procs").read_text() == str(os.getpid())
    assert (own / "cgroup.subtree_control").read_text() == "+cpu +memory"
    assert groups.group_for("shop", 1, ProcessLimits()) == ""


def test_a_group_that_is_not_ours_to_divide_is_left_alone(own: Path) -> None:
    (own / "cgroup.controllers").write_text("pids")
    assert not cgroup.Groups(own).usable
    assert not (own / "mergepoint.apps").exists()
