"""A FastStream service reads our topics and feeds our queues on RabbitMQ, as CloudEvents."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest
from faststream import FastStream
from faststream.rabbit import ExchangeType, RabbitBroker, RabbitExchange, RabbitMessage, RabbitQueue
from mergepoint_testkit.rabbitmq import running_rabbitmq

from mergepoint.bus.adapters.rabbitmq.engine import RabbitmqEngine
from mergepoint.bus.contract import Gap, Limits
from mergepoint.core.clock import SystemClock
from mergepoint.wire.envelope import Message, from_headers

pytestmark = pytest.mark.real
WAIT_S = 20.0


def message(topic: str, value: Any) -> Message:
    return Message(
        id=str(uuid.uuid4()),
        source="mergepoint://acme/tickets/0",
        type=topic,
        data=json.dumps(value).encode(),
        time="2026-11-21T12:00:00Z",
        extensions={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
    )


async def exchanged(url: str) -> None:
    engine = RabbitmqEngine(url, Limits(), SystemClock(), address="tickets/0")
    await engine.open(lambda state, reason: None)
    broker = RabbitBroker(url)
    topics = RabbitExchange(
        "mergepoint.topics", type=ExchangeType.TOPIC, durable=True, declare=False
    )
    heard: asyncio.Queue[tuple[dict[str, Any], Message]] = asyncio.Queue()

    @broker.subscriber(RabbitQueue("other.service", routing_key="tickets.*"), topics)
    async def on_ticket(body: dict[str, Any], raw: RabbitMessage) -> None:
        event = from_headers({**raw.headers, "content-type": raw.content_type or ""}, raw.body)
        await heard.put((body, event))

    service = asyncio.create_task(FastStream(broker).run())
    try:
        sent = message("tickets.created", {"id": 42})
        body, event = await delivered(engine, sent, heard)
        assert body == {"id": 42}, "FastStream decodes the data as it is"
        assert event == sent, "and any reader of CloudEvents finds the whole envelope"

        listening = await engine.subscribe("invoices.>")
        await broker.publish({"paid": True}, exchange=topics, routing_key="invoices.paid")
        told = await asyncio.wait_for(anext(aiter(listening)), WAIT_S)
        assert not isinstance(told, Gap)
        assert (told.type, json.loads(told.data)) == ("invoices.paid", {"paid": True})
    finally:
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
        await engine.close()


async def delivered(engine: RabbitmqEngine, sent: Message, heard: Any) -> Any:
    """Publish until the service has declared its queue and hears it."""
    for _ in range(int(WAIT_S / 0.2)):
        await engine.publish(sent.type, sent)
        try:
            return await asyncio.wait_for(heard.get(), 0.2)
        except TimeoutError:
            continue
    raise AssertionError("FastStream heard nothing")


def test_faststream_reads_our_topics_and_we_read_what_it_publishes() -> None:
    with running_rabbitmq() as server:
        asyncio.run(exchanged(server.url()))
