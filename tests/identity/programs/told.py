"""What an app is told about who asks, in WSGI and ASGI, and nothing else."""

import json

from mergepoint.identity import of


def _shown(identity, **more):
    names = ("sub", "user", "name", "kind", "roles", "anonymous")
    return json.dumps({**{name: getattr(identity, name) for name in names}, **more}).encode()


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [
        _shown(
            of(environ),
            key="mergepoint.identity" in environ,
            remote_user=environ.get("REMOTE_USER"),
            may=of(environ).may("tickets.edit"),
        )
    ]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body = _shown(
        of(scope),
        key="identity" in scope["mergepoint"],
        remote_user=None,
        may=of(scope).may("tickets.edit"),
    )
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": body.decode()})
        await receive()  # until the client leaves
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
