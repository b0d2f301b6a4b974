"""A WSGI app that has never heard of any bus: a POST is a POST."""

import json
from pathlib import Path


def app(environ, start_response):
    if environ["REQUEST_METHOD"] == "POST":
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        headers = {k: v for k, v in environ.items() if k.startswith(("HTTP_CE_", "HTTP_MERGE"))}
        with Path("hooks.txt").open("a") as stream:
            stream.write(json.dumps({"body": json.loads(body), **headers}) + "\n")
        start_response("204 No Content", [])
        return []
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wiki"]
