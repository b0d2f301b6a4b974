"""The same small app in Flask."""

import hashlib
import time

import called
from flask import Flask, Response, jsonify, redirect, request, url_for

app = Flask(__name__)


@app.get("/")
def index():
    return url_for("item", number=7)


@app.get("/item/<int:number>")
def item(number):
    return f"item {number}"


@app.get("/go")
def go():
    return redirect(url_for("item", number=7))


@app.get("/cookie")
def cookie():
    answer = Response(request.cookies.get("choc", "none"))
    answer.set_cookie("choc", "chip", path=request.script_root + "/")
    return answer


@app.get("/stream")
def stream():
    def chunks():
        for number in range(3):
            yield f"chunk {number}\n"
            time.sleep(0.15)

    return Response(chunks(), mimetype="text/plain")


@app.post("/upload")
def upload():
    digest, size = hashlib.sha256(), 0
    while chunk := request.stream.read(65536):
        digest.update(chunk)
        size += len(chunk)
    return f"{size} {digest.hexdigest()}"


@app.get("/slow")
def slow():
    time.sleep(0.8)
    return "slow but done"


@app.get("/env")
def env():
    return jsonify(
        scheme=request.scheme,
        host=request.host,
        client=request.remote_addr,
        request_id=request.environ["mergepoint.request_id"],
    )


@app.get("/call/<path:rest>")
def call(rest):
    name, value = request.environ["mergepoint.call"](called.application, at="/call")
    answer = Response("not seen", headers={name: value})
    answer.set_cookie("kept", "yes")
    return answer
