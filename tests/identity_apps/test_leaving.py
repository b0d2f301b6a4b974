"""Whoever is deleted is out: of the browser, of Git, of the connection that is open."""

from __future__ import annotations

import http.client
import json
from datetime import datetime

import pytest
from mergepoint_testkit.people import People, Somebody, log_in
from mergepoint_testkit.sites import RunningSite
from mergepoint_testkit.visitor import Visitor
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .waiting import assert_soon, cookie

pytestmark = pytest.mark.real

CLOSED_S_MAX = 20.0
REVOKED_S_MAX = 1.0
"""The promise: an edge reads the feed every half second."""
POLICY = 1008


def test_a_deleted_person_is_out_everywhere_and_the_log_remembers(
    site: RunningSite, people: People, nobody: Visitor
) -> None:
    lea = people.add("lea", "admin")
    _, token = people.token(lea)
    proof = {"Authorization": f"Bearer {token}"}
    browser = Visitor(site.port)
    log_in(browser, lea)
    assert browser.get("/admin/").status == 200
    assert nobody.request("GET", "/data/-/actor.json", headers=proof).status == 200

    people.add("stays", "admin")
    address = f"ws://127.0.0.1:{site.port}/live/ws"
    stream = http.client.HTTPConnection("127.0.0.1", site.port, timeout=CLOSED_S_MAX)
    stream.request("GET", "/live/events", headers={"Cookie": cookie(browser)})
    events = stream.getresponse()
    assert events.readline() == b"data: hello lea\n"
    with connect(address, additional_headers={"Cookie": cookie(browser)}) as ws:
        assert ws.recv(10) == "hello lea"
        said = site.run("users", "delete", "lea", "--yes")
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(CLOSED_S_MAX)
    with pytest.raises(http.client.IncompleteRead):
        events.read()
    stream.close()

    assert said.stdout == "lea: deleted; ended: 1 session, 1 API token, 0 passkeys\n"
    assert closed.value.rcvd is not None and closed.value.rcvd.code == POLICY
    assert_soon(lambda: nobody.request("GET", "/data/-/actor.json", headers=proof).status == 401)
    assert_soon(lambda: browser.get("/admin/").status != 200)
    assert 0 <= delay_s(site, people, lea) < 2 * REVOKED_S_MAX
    log = [(row.event, row.target) for row in people.accounts.audit.read(limit=200)]
    assert ("person.deleted", lea.sub) in log
    assert ("person.added", lea.sub) in log


def delay_s(site: RunningSite, people: People, somebody: Somebody) -> float:
    """Return what passed between the revocation and the end of the stream, by their own records.

    Neither this test's waiting nor a slow client is in it: the database stamps the one, the edge's
    access log the other.
    """
    ended: list[float] = []

    def logged() -> bool:
        lines = [line for line in site.output.splitlines() if '"/live/events"' in line]
        for entry in (json.loads(line)["line"]["request"] for line in lines):
            if entry["user"] == somebody.user:
                began = datetime.fromisoformat(entry["at"]).timestamp()
                ended.append(began + entry["duration_ms"] / 1000)
        return bool(ended)

    assert_soon(logged)
    told = people.accounts.feed.read("", 0)["revocations"]
    [at] = [one["at"] for one in told if one["id"] == somebody.sub]
    return ended[-1] - float(at)
