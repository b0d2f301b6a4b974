"""A FastAPI app whose environment has no Mergepoint: listens, answers, takes work."""

import asyncio
import contextlib

from fastapi import FastAPI

import mergepoint
from mergepoint.bus.contract import Gap
from mergepoint.bus.errors import BusError

site = mergepoint.connect()
heard: list[dict] = []
mails: list[str] = []


async def listen(begun: asyncio.Event) -> None:
    async with await site.bus.asubscribe("tickets.*") as events:
        begun.set()
        async for event in events:
            if isinstance(event, Gap):
                continue
            told = {"value": event.value, "topic": event.topic, "context": dict(event.context)}
            heard.append(told)


async def work() -> None:
    while True:
        with contextlib.suppress(BusError):
            async with await site.bus.queue("mail").aget(wait_s=5) as job:
                if job:
                    mails.append(job.value["to"])
        await asyncio.sleep(0)


async def answer(question: dict) -> dict:
    return {"found": [t["value"] for t in heard if question["q"] in str(t["value"])]}


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI):
    begun = asyncio.Event()
    tasks = [asyncio.create_task(listen(begun)), asyncio.create_task(work())]
    await begun.wait()
    await site.bus.presence.ajoin(version="7")
    await site.bus.aserve("search", answer)
    yield
    for task in tasks:
        task.cancel()


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def state() -> dict:
    return {"heard": heard, "mails": mails, "mergepoint": mergepoint.__file__}
