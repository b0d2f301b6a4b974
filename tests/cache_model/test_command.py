"""`python -m mergepoint_testkit.cache_model` tells what was broken, and how."""

from __future__ import annotations

import pytest
from mergepoint_testkit.cache_model import __main__ as command


def test_schedules_that_keep_every_promise_end_with_zero(capsys: pytest.CaptureFixture) -> None:
    assert command.main(["--seeds", "20"]) == 0
    assert "0 schedules broke a promise" in capsys.readouterr().out


def test_a_violation_is_shown_step_by_step_down_to_what_is_broken(
    capsys: pytest.CaptureFixture,
) -> None:
    assert command.main(["--seeds", "40", "--without", "I11"]) == 1

    told = capsys.readouterr().out.strip().splitlines()
    assert "normal without I11" in told[0]
    assert any("steps shrunk to" in line for line in told)
    assert "BROKEN" in told[-1]


def test_a_rule_nobody_knows_is_named(capsys: pytest.CaptureFixture) -> None:
    assert command.main(["--without", "I99"]) == 2
    assert "no rule is called I99" in capsys.readouterr().err


def test_a_number_of_schedules_out_of_bounds_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert command.main(["--seeds", "0"]) == 2
    assert "--seeds is 0" in capsys.readouterr().err


def test_the_rules_are_listed_with_what_they_say(capsys: pytest.CaptureFixture) -> None:
    assert command.main(["--rules"]) == 0
    assert "I5 " in capsys.readouterr().out
