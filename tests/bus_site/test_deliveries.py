"""Messages that are posted to apps which know nothing of the bus.

Place:  make test
Rule:   a real engine (in memory), real sockets; the gateway is the one a site runs.
"""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from mergepoint_testkit.gateway_bench import DELIVERY, Bench, subscribed
from mergepoint_testkit.posted import worker, write_snapshot

from mergepoint.assembly import messages
from mergepoint.manifest.load import load_site
from mergepoint.wire.envelope import from_headers


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, tmp_path.name)


def test_a_message_is_posted_as_a_cloud_event_and_then_done(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench) as wiki:
            await bench.publish('{"id": 42}', mprequestid="r-1", traceparent="00-a-b-01")
            got = (await wiki.until(1))[0]
            await bench.settled()

        assert (got.method, got.target, got.body) == ("POST", "/wiki/hooks", b'{"id": 42}')
        assert got.headers["host"] == "wiki.example.org"
        assert got.headers["x-forwarded-prefix"] == "/wiki"
        assert got.headers["x-request-id"] == "r-1"
        assert got.headers["traceparent"] == "00-a-b-01"
        assert got.headers["mergepoint-delivery"] == DELIVERY.queue
        message = from_headers(got.headers, got.body)
        assert (message.type, message.source) == ("tickets.created", "/tickets/0")
        assert "mergepoint-identity" not in got.headers

    asyncio.run(work())


def test_what_an_app_refuses_is_posted_again_until_it_takes_it(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench) as wiki:
            wiki.answers = [(500, {}), (302, {"location": "/login"})]
            await bench.publish()
            await wiki.until(3)
            await bench.settled()
            assert await bench.dead() == []

    asyncio.run(work())


def test_a_message_is_a_dead_letter_after_as_many_posts_as_the_subscription_says(
    bench: Bench,
) -> None:
    async def work() -> None:
        async with subscribed(bench) as wiki:
            wiki.answers = [(500, {})] * 10
            await bench.publish()
            await bench.settled()
            assert len(wiki.got) == 3
            assert await bench.dead() == ["wiki answered 500 at attempt 3 of 3"]

    asyncio.run(work())


def test_gone_is_final(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench) as wiki:
            wiki.answers = [(410, {})]
            await bench.publish()
            await bench.settled()
            assert (len(wiki.got), await bench.dead()) == (1, ["wiki answered 410: gone"])

    asyncio.run(work())


def test_an_app_that_hangs_costs_an_attempt_and_not_the_subscription(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench, replace(DELIVERY, timeout_s=0.2)) as wiki:
            wiki.hold = asyncio.Event()
            await bench.publish()
            await wiki.until(1)
            wiki.hold = None
            await wiki.until(2)
            await bench.settled()
            assert await bench.dead() == []

    asyncio.run(work())


def test_an_app_without_a_worker_loses_nothing_and_no_attempt(bench: Bench) -> None:
    async def work() -> None:
        await bench.engine.open(lambda *_: None)
        write_snapshot(bench.snapshot, {"wiki": []})
        async with bench.gateway(replace(DELIVERY, attempts_max=1)):
            for number in range(5):
                await bench.publish(str(number))
            # Somebody who is named but not there: no connection, so nothing was tried.
            write_snapshot(bench.snapshot, {"wiki": [f"unix:{bench.directory}/nobody.sock"]})
            await asyncio.sleep(0.6)
            async with worker(bench.directory / "wiki.sock") as wiki:
                write_snapshot(bench.snapshot, {"wiki": [wiki.address]})
                got = await wiki.until(5)
                assert sorted(entry.body for entry in got) == [b"0", b"1", b"2", b"3", b"4"]
                await bench.settled()
            assert await bench.dead() == []

    asyncio.run(work())


def test_never_more_posts_at_a_time_than_the_subscription_says(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench) as wiki:
            wiki.hold = asyncio.Event()
            for number in range(6):
                await bench.publish(str(number))
            await wiki.until(2)
            await asyncio.sleep(0.1)
            assert len(wiki.got) == 2
            wiki.hold.set()
            await wiki.until(6)
            assert wiki.most == 2

    asyncio.run(work())


def test_what_was_published_while_the_gateway_was_away_is_delivered(bench: Bench) -> None:
    async def work() -> None:
        async with subscribed(bench):
            pass
        await bench.engine.close()
        bench.engine = bench.new_engine()
        await bench.engine.open(lambda *_: None)
        await bench.publish("late")
        async with worker(bench.directory / "wiki.sock") as wiki:
            write_snapshot(bench.snapshot, {"wiki": [wiki.address]})
            async with bench.gateway(DELIVERY):
                assert (await wiki.until(1))[0].body == b"late"

    asyncio.run(work())


def test_a_subscription_that_is_gone_from_the_manifest_collects_no_more(bench: Bench) -> None:
    async def work() -> None:
        other = replace(DELIVERY, queue="mp.to.wiki.other", on="other.*")
        async with subscribed(bench):
            pass
        bench.engine = bench.new_engine()
        await bench.engine.open(lambda *_: None)
        async with bench.gateway(other):
            await bench.publish()
            assert await bench.waiting() == 0

    asyncio.run(work())


def test_a_site_with_identity_posts_as_a_service_that_nobody_else_can_be(bench: Bench) -> None:
    joserfc = pytest.importorskip("joserfc")
    from joserfc import jwt
    from joserfc.jwk import OKPKey

    assert joserfc
    from mergepoint.identity.keys import public_x
    from mergepoint.identity.subject import arrived

    seed = b"e" * 32
    signing = {"signing": {"kid": "e1", "seed": base64.b64encode(seed).decode()}}

    async def work() -> None:
        more = {"snapshot": {"identity": signing}, "issuer": "mergepoint:acme"}
        async with subscribed(bench, **more) as wiki:
            await bench.publish()
            headers = (await wiki.until(1))[0].headers
        token = headers["mergepoint-identity"]
        key = OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": public_x(seed)})
        decoded = jwt.decode(token, key, algorithms=["EdDSA"])
        assert decoded.header == {"alg": "EdDSA", "typ": "mpi+jwt", "kid": "e1"}
        assert decoded.claims["aud"] == "wiki"
        assert decoded.claims["exp"] - decoded.claims["iat"] == 60
        who = arrived(token)
        assert (who.kind, who.user, headers["remote-user"]) == (
            "service", "mergepoint:bus", "mergepoint:bus",
        )  # fmt: skip
        assert not who.may("anything")

    asyncio.run(work())


def test_who_carries_subscriptions_allows_as_many_attempts_as_they_ask_for(
    tmp_path: Path,
) -> None:
    (tmp_path / "wiki.py").write_text("app = print\n")
    file = tmp_path / "mergepoint.toml"
    file.write_text(
        '[apps.wiki]\nwsgi = "wiki:app"\n[bus]\nattempts_max = 3\n'
        '[[subscriptions]]\non = "a"\napp = "wiki"\npost = "/in"\nattempts_max = 20\n'
    )
    site = load_site(file, profile="development", environ={})
    bus = messages.prepare(site, b"s" * 32)
    assert bus is not None
    hub, gateway = messages.hub_spec(bus), messages.gateway_spec(bus)

    assert json.loads(hub.env["MERGEPOINT_HUB"])["limits"]["attempts_max"] == 20
    assert json.loads(gateway.env["MERGEPOINT_BUS"])["limits"]["attempts_max"] == 20
    assert json.loads(gateway.env["MERGEPOINT_GATEWAY"])["attempts_max"] == 3
    worker = bus.environment("wiki", "wiki/0")
    assert json.loads(worker["MERGEPOINT_BUS"])["limits"]["attempts_max"] == 3
