"""What a runner promises, with real processes, ledger and queues in PostgreSQL."""

from __future__ import annotations

from tests.tasks import test_runner, test_runner_deaths

_OF_LEDGER = {
    "test_a_runner_that_was_paused_beyond_its_lease_cannot_complete_what_it_lost",
    "test_a_task_that_kills_its_process_is_dead_and_its_neighbours_are_not",
}
"""Of the deaths: those whose end a ledger decides; the others are the runner's own."""
globals().update({name: told for name, told in vars(test_runner).items() if name[:5] == "test_"})
globals().update({name: vars(test_runner_deaths)[name] for name in _OF_LEDGER})
