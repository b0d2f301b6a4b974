"""What a runner promises, with real processes, ledger and queues in PostgreSQL."""

from __future__ import annotations

from tests.tasks import test_runner, test_runner_deaths

_OF_LEDGER = (
    "test_blocking_and_async_handlers_give_their_results_and_know_their_request",
    "test_term_lets_tasks_end_in_time_and_gives_back_the_rest_without_an_attempt",
    "test_cancelling_tells_a_running_handler",
    "test_progress_is_seen_while_it_runs",
    "test_keys_keep_their_order_over_two_runners_that_are_killed",
    "test_a_name_nobody_knows_waits_for_a_runner_that_does",
    "test_a_runner_that_was_paused_beyond_its_lease_cannot_complete_what_it_lost",
)
"""Those whose outcome a ledger decides; the others are the runner's own affair."""
_told = {**vars(test_runner), **vars(test_runner_deaths)}
globals().update({name: _told[name] for name in _OF_LEDGER})
