"""The same small app as a plain WSGI callable."""

import hashlib
import json
import time

import called


def app(environ, start_response):
    path = environ["PATH_INFO"]
    view = VIEWS.get(path) or (call if path.startswith("/call/") else missing)
    return view(environ, start_response)


def text(start_response, body, *headers, status="200 OK"):
    start_response(status, [("Content-Type", "text/plain"), *headers])
    return [body.encode()]


def index(environ, start_response):
    return text(start_response, environ["SCRIPT_NAME"] + "/item/7")


def item(environ, start_response):
    return text(start_response, "item 7")


def go(environ, start_response):
    target = environ["SCRIPT_NAME"] + "/item/7"
    return text(start_response, "", ("Location", target), status="302 Found")


def cookie(environ, start_response):
    seen = environ.get("HTTP_COOKIE", "choc=none").partition("choc=")[2]
    path = environ["SCRIPT_NAME"] + "/"
    return text(start_response, seen, ("Set-Cookie", f"choc=chip; Path={path}"))


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(3):
        yield f"chunk {number}\n".encode()
        time.sleep(0.15)


def upload(environ, start_response):
    digest, size = hashlib.sha256(), 0
    left = int(environ.get("CONTENT_LENGTH") or 1 << 60)
    while left and (chunk := environ["wsgi.input"].read(min(left, 65536))):
        digest.update(chunk)
        size += len(chunk)
        left -= len(chunk)
    return text(start_response, f"{size} {digest.hexdigest()}")


def slow(environ, start_response):
    time.sleep(0.8)
    return text(start_response, "slow but done")


def env(environ, start_response):
    told = {
        "scheme": environ["wsgi.url_scheme"],
        "host": environ["HTTP_HOST"],
        "client": environ["REMOTE_ADDR"],
        "request_id": environ["mergepoint.request_id"],
    }
    return text(start_response, json.dumps(told))


def call(environ, start_response):
    header = environ["mergepoint.call"](called.application, at="/call")
    return text(start_response, "not seen", header, ("Set-Cookie", "kept=yes"))


def missing(environ, start_response):
    return text(start_response, "missing", status="404 Not Found")


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
