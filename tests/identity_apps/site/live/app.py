"""FastAPI with a page, a stream of events and a WebSocket that know who came."""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from mergepoint.identity import Identity
from mergepoint.identity.adapters.fastapi import Who, needs

app = FastAPI()


@app.get("/me")
async def me(who: Who):
    return {"user": who.user, "kind": who.kind, "session": who.session}


@app.websocket("/ws")
async def ws(websocket: WebSocket, who: Annotated[Identity, Depends(needs())]):
    await websocket.accept()
    await websocket.send_text(f"hello {who.user}")
    async for text in websocket.iter_text():
        await websocket.send_text(f"{who.user}: {text}")


@app.get("/events")
async def events(who: Who):
    async def forever():
        yield f"data: hello {who.user}\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(forever(), media_type="text/event-stream")
