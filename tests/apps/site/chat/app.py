"""A FastAPI chat: a page, a form, a WebSocket, and files streamed both ways."""

import hashlib

from fastapi import FastAPI, Form, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

app = FastAPI(title="Chat")
said: list[str] = []
listeners: set[WebSocket] = set()
PAGE = """<!doctype html><title>Chat</title>
<link rel="stylesheet" href="{style}"><h1>Chat</h1>
<p>Hello {name}. <a href="{docs}">API</a> <a href="{home}">again</a></p>
<ul id="said">{items}</ul>
<form method="post" action="{say}"><input name="text"><button>Say</button></form>
<input id="live"><script>
const address = new URL({ws!r}, location.href);
address.protocol = address.protocol.replace("http", "ws");
const socket = new WebSocket(address);
const add = text => {{ const li = document.createElement("li"); li.textContent = text;
  document.getElementById("said").append(li); }};
socket.onmessage = event => add(event.data);
document.getElementById("live").onchange = event => socket.send(event.target.value);
</script>"""


@app.get("/", response_class=HTMLResponse, name="home")
def home(request: Request):
    name = request.cookies.get("name", "stranger")
    address = {key: request.url_for(key).path for key in ("home", "say", "style", "live")}
    body = PAGE.format(
        name=name,
        items="".join(f"<li>{text}</li>" for text in said),
        docs=request.scope["root_path"] + "/docs",
        ws=address.pop("live"),
        **address,
    )
    answer = HTMLResponse(body)
    answer.set_cookie("name", "friend", path=request.scope["root_path"] + "/")
    return answer


@app.get("/style.css", name="style")
def style():
    return HTMLResponse("h1 { color: teal }", media_type="text/css")


@app.post("/say", name="say")
async def say(request: Request, text: str = Form()):
    await tell(text)
    return RedirectResponse(request.url_for("home"), status_code=303)


@app.websocket("/live", name="live")
async def live(socket: WebSocket):
    await socket.accept()
    listeners.add(socket)
    try:
        while True:
            await tell(await socket.receive_text())
    except WebSocketDisconnect:
        listeners.discard(socket)


async def tell(text: str):
    said.append(text)
    for listener in list(listeners):
        await listener.send_text(text)


@app.post("/upload")
async def upload(request: Request):
    digest, size = hashlib.sha256(), 0
    async for chunk in request.stream():
        digest.update(chunk)
        size += len(chunk)
    return {"size": size, "sha256": digest.hexdigest()}


@app.get("/download")
def download(size: int):
    async def chunks():
        for _ in range(size // 65536):
            yield bytes(65536)

    return StreamingResponse(chunks(), media_type="application/octet-stream")
