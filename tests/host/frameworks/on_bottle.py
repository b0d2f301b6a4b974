"""The same small app in Bottle."""

import hashlib
import time

import bottle
import called

app = bottle.Bottle()


@app.get("/")
def index():
    return app.get_url("item", number=7)


@app.get("/item/<number:int>", name="item")
def item(number):
    return f"item {number}"


@app.get("/go")
def go():
    # Bottle joins a relative target to SCRIPT_NAME itself.
    bottle.redirect("item/7")


@app.get("/cookie")
def cookie():
    seen = bottle.request.get_cookie("choc", "none")
    bottle.response.set_cookie("choc", "chip", path=bottle.request.script_name)
    return seen


@app.get("/stream")
def stream():
    for number in range(3):
        yield f"chunk {number}\n"
        time.sleep(0.15)


@app.post("/upload")
def upload():
    digest, size = hashlib.sha256(), 0
    body = bottle.request.environ["wsgi.input"]
    left = int(bottle.request.environ.get("CONTENT_LENGTH") or 1 << 60)
    while left and (chunk := body.read(min(left, 65536))):
        digest.update(chunk)
        size += len(chunk)
        left -= len(chunk)
    return f"{size} {digest.hexdigest()}"


@app.get("/slow")
def slow():
    time.sleep(0.8)
    return "slow but done"


@app.get("/env")
def env():
    request = bottle.request
    return {
        "scheme": request.urlparts.scheme,
        "host": request.urlparts.netloc,
        "client": request.environ["REMOTE_ADDR"],
        "request_id": request.environ["mergepoint.request_id"],
    }


@app.get("/call/<rest:path>")
def call(rest):
    name, value = bottle.request.environ["mergepoint.call"](called.application, at="/call")
    bottle.response.set_header(name, value)
    bottle.response.set_cookie("kept", "yes")
    return "not seen"
