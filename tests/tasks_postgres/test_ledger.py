"""What every ledger promises, told to the one in PostgreSQL; the stories stand in tests/tasks."""

from __future__ import annotations

from tests.tasks import test_ledger, test_ledger_together

# Here nothing is ever recorded without its message.
_NEVER = {"test_what_was_recorded_but_never_put_is_put_again_and_the_first_message_is_stale"}
for _module in (test_ledger, test_ledger_together):
    _stories = {name: story for name, story in vars(_module).items() if name.startswith("test_")}
    globals().update({name: story for name, story in _stories.items() if name not in _NEVER})
