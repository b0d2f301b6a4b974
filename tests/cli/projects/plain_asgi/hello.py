class Application:
    async def __call__(self, scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})


app = Application()

raise RuntimeError("detection reads this file; it must never import it")
