"""The forge as its manifest stands: no mail server, nothing of this machine may be imported."""

from __future__ import annotations

import time
from pathlib import Path

from mergepoint_testkit.forge_site import running_forge
from mergepoint_testkit.people import people_of

from .conftest import POLL_S, WAIT_S_MAX, Browsing, log_in_anew


def kept(admin: Browsing, words: str) -> str:
    """Return the words of the page of mails once these are among them."""
    deadline = time.monotonic() + WAIT_S_MAX
    while words not in (shown := admin.words("/tickets/mails")):
        assert time.monotonic() < deadline, shown
        time.sleep(POLL_S)
    return shown


def test_without_a_mail_server_administrators_see_what_would_be_sent(tmp_path: Path) -> None:
    with running_forge(tmp_path) as site, people_of(site) as people:
        admin, writer = (log_in_anew(site, people, role, role) for role in ("admin", "developer"))
        admin.submit(admin.get("/tickets/notifications"), "csrf", then="mail")
        number = writer.new_ticket("Rain in the shed", "By the door.", assignee="admin")

        shown = kept(admin, "Rain in the shed")
        assert f"[#{number}] Rain in the shed to admin@example.org" in shown
        assert (
            f"developer opened this: Rain in the shed By the door. http://127.0.0.1:{site.port}"
            in shown
        )
        assert writer.get("/tickets/mails").status == 403

        form = admin.get("/code/import")
        refused = admin.submit(form, "source", source=str(site.directory), name="own")
        assert "FORGE_IMPORT_FROM allows: https://." in refused.document().words()
