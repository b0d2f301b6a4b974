"""The same small app as a plain ASGI callable with lifespan and WebSocket."""

import asyncio
import hashlib
import json

import called


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await ws(scope, receive, send)
    else:
        path = scope["path"][len(scope["root_path"]) :]
        view = VIEWS.get(path) or (call if path.startswith("/call/") else missing)
        await view(scope, receive, send)


async def lifespan(scope, receive, send):
    await receive()
    scope["state"]["started"] = "yes"
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("lifespan ended", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def text(send, body, *headers, status=200):
    pairs = [(b"content-type", b"text/plain"), *headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body.encode()})


async def index(scope, receive, send):
    await text(send, scope["root_path"] + "/item/7")


async def item(scope, receive, send):
    await text(send, "item 7")


async def go(scope, receive, send):
    target = (scope["root_path"] + "/item/7").encode()
    await text(send, "", (b"location", target), status=302)


async def cookie(scope, receive, send):
    sent = dict(scope["headers"]).get(b"cookie", b"choc=none").decode()
    setting = f"choc=chip; Path={scope['root_path']}/".encode()
    await text(send, sent.partition("choc=")[2], (b"set-cookie", setting))


async def stream(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(3):
        body = f"chunk {number}\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await asyncio.sleep(0.15)
    await send({"type": "http.response.body", "body": b""})


async def upload(scope, receive, send):
    digest, size, more = hashlib.sha256(), 0, True
    while more:
        message = await receive()
        digest.update(message.get("body", b""))
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await text(send, f"{size} {digest.hexdigest()}")


async def slow(scope, receive, send):
    await asyncio.sleep(0.8)
    await text(send, "slow but done")


async def env(scope, receive, send):
    host = dict(scope["headers"])[b"host"].decode()
    told = {
        "scheme": scope["scheme"],
        "host": host,
        "client": scope["client"][0],
        "request_id": scope["mergepoint"]["request_id"],
        "started": scope["state"]["started"],
    }
    await text(send, json.dumps(told))


async def call(scope, receive, send):
    name, value = scope["mergepoint"]["call"](called.asgi, at="/call")
    cookie = (b"set-cookie", b"kept=yes")
    await text(send, "not seen", (name.encode(), value.encode()), cookie)


async def ws(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": scope["path"] + " " + scope["scheme"]})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": "echo " + message["text"]})


async def missing(scope, receive, send):
    await text(send, "missing", status=404)


VIEWS = {
    "/": index,
    "/item/7": item,
    "/go": go,
    "/cookie": cookie,
    "/stream": stream,
    "/upload": upload,
    "/slow": slow,
    "/env": env,
}
