"""The same small app in Starlette; its lifespan must have run."""

import asyncio
import contextlib
import hashlib

import called
from starlette.applications import Starlette
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from starlette.routing import Route, WebSocketRoute


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"started": "yes"}
    print("lifespan ended", flush=True)


async def index(request):
    return PlainTextResponse(request.url_for("item", number=7).path)


async def item(request):
    return PlainTextResponse(f"item {request.path_params['number']}")


async def go(request):
    return RedirectResponse(request.url_for("item", number=7))


async def cookie(request):
    answer = PlainTextResponse(request.cookies.get("choc", "none"))
    answer.set_cookie("choc", "chip", path=request.scope["root_path"] + "/")
    return answer


async def stream(request):
    async def chunks():
        for number in range(3):
            yield f"chunk {number}\n"
            await asyncio.sleep(0.15)

    return StreamingResponse(chunks(), media_type="text/plain")


async def upload(request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return PlainTextResponse(f"{size} {digest.hexdigest()}")


async def slow(request):
    await asyncio.sleep(0.8)
    return PlainTextResponse("slow but done")


async def env(request):
    return JSONResponse(
        {
            "scheme": request.url.scheme,
            "host": request.url.netloc,
            "client": request.client.host,
            "request_id": request.scope["mergepoint"]["request_id"],
            "started": request.state.started,
        }
    )


async def call(request):
    name, value = request.scope["mergepoint"]["call"](called.asgi, at="/call")
    answer = PlainTextResponse("not seen", headers={name: value})
    answer.set_cookie("kept", "yes")
    return answer


async def ws(websocket):
    await websocket.accept()
    await websocket.send_text(websocket.url.path + " " + websocket.url.scheme)
    async for text in websocket.iter_text():
        await websocket.send_text("echo " + text)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/", index),
        Route("/item/{number:int}", item, name="item"),
        Route("/call/{rest:path}", call),
        Route("/upload", upload, methods=["POST"]),
        *[Route("/" + view.__name__, view) for view in (go, cookie, stream, slow, env)],
        WebSocketRoute("/ws", ws),
    ],
)
