"""The page about processes says what the code does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mergepoint.supervisor import states
from mergepoint.supervisor.pool import LIFE, Phase

ROOT = Path(__file__).parents[2]


def test_the_tables_are_drawn_from_the_code() -> None:
    tool = ROOT / "tools/process_tables.py"
    told = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr


def test_every_phase_and_event_has_its_words() -> None:
    assert set(LIFE) == set(Phase)
    assert {event for events in LIFE.values() for event in events} == set(states.EVENTS)
    assert set(Phase) <= set(states.SLOT_STATES)
