"""Whoever is deleted is out: of the browser, of Git, of the connection that is open."""

from __future__ import annotations

import pytest
from mergepoint_testkit.people import People, log_in
from mergepoint_testkit.sites import RunningSite
from mergepoint_testkit.visitor import Visitor
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .waiting import assert_soon, cookie

pytestmark = pytest.mark.real

CLOSED_S_MAX = 20.0
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
    with connect(address, additional_headers={"Cookie": cookie(browser)}) as ws:
        assert ws.recv(10) == "hello lea"
        said = site.run("users", "delete", "lea", "--yes")
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(CLOSED_S_MAX)

    assert said.stdout == "lea: deleted; ended: 1 session, 1 API token, 0 passkeys\n"
    assert closed.value.rcvd is not None and closed.value.rcvd.code == POLICY
    assert_soon(lambda: nobody.request("GET", "/data/-/actor.json", headers=proof).status == 401)
    assert_soon(lambda: browser.get("/admin/").status != 200)
    events = [(row.event, row.target) for row in people.accounts.audit.read(limit=200)]
    assert ("person.deleted", lea.sub) in events
    assert ("person.added", lea.sub) in events
