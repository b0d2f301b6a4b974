"""The app that a view lets answer in its place: it says where it believes it is mounted."""


def application(environ, start_response):
    body = f"called at {environ['SCRIPT_NAME']} for {environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    rest = scope["path"][len(scope["root_path"]) :]
    body = f"called at {scope['root_path']} for {rest}".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
