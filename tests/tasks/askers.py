"""Asks for tasks by name, as a process does that does not import their module."""

from __future__ import annotations

from typing import Any

from mergepoint.tasks import Tasks
from mergepoint.tasks.arguments import encode
from mergepoint.tasks.contract import TaskRecord
from mergepoint.tasks.identifiers import new_id
from mergepoint.tasks.sending import send
from mergepoint.tasks.spec import Options, Spec
from tests.tasks.sites import TaskSite, until


class Asker:
    """Holds the site it asks."""

    def __init__(self, site: TaskSite) -> None:
        self.site = site
        self.tasks = Tasks(site.home, app="test")

    def ask(
        self,
        task: str,
        *args: Any,
        queue: str = "test",
        key: str = "",
        known_as: str = "",
        **options: Any,
    ) -> Any:

        home = self.site.home
        payload, kind = encode(task, home.codec, args, {})
        spec = Spec(
            id=known_as or new_id(home.clock.unix_s()),
            name=task,
            queue=queue,
            key=key,
            payload=payload,
            content_type=kind,
            options=Options(**{"timeout_s": 60, **options}),
            context={"mprequestid": "r-1"},
        )
        home.wait(lambda: send(home, [spec]))
        return self.tasks.handle(spec.id)

    def ended(self, handle: Any) -> TaskRecord:
        def look() -> Any:
            record = handle.record()
            return record if record.state.value in ("completed", "dead", "cancelled") else None

        return until(look, f"{handle.id} ends; it is {handle.record()}")
