"""The same small app in FastAPI: routes declared its way, handlers shared with Starlette."""

import on_starlette
from fastapi import FastAPI, Request, WebSocket

app = FastAPI(lifespan=on_starlette.lifespan)


@app.get("/")
async def index(request: Request):
    return await on_starlette.index(request)


@app.get("/item/{number}", name="item")
def item(number: int):
    from fastapi.responses import PlainTextResponse

    return PlainTextResponse(f"item {number}")


for view in ("go", "cookie", "stream", "slow", "env"):

    def declare(handler):
        async def answer(request: Request):
            return await handler(request)

        return answer

    app.get("/" + view)(declare(getattr(on_starlette, view)))


@app.post("/upload")
async def upload(request: Request):
    return await on_starlette.upload(request)


@app.get("/call/{rest:path}")
async def call(request: Request):
    return await on_starlette.call(request)


@app.websocket("/ws")
async def ws(websocket: WebSocket):
    await on_starlette.ws(websocket)
