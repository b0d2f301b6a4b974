"""Serve one WSGI application at one mount with the standard library's server, on free ports.

Place:  tests.forge.conftest -> [serve_app] -> an app of the forge
Rule:   runs in the app's own Python; prints the ports and serves until it is ended.

    python serve_app.py DIRECTORY MODULE:ATTRIBUTE [PREFIX]

Each person of `FORGE_TEST_PEOPLE` (JSON: name -> claims) has a port of their own: whoever comes in
there is that person, as after the edge. Nothing that a client sends makes them anybody else.
"""

import importlib
import json
import os
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *args):  # noqa: A002 - the name is the base class's
        pass


def mounted(app, prefix, person):
    # Every answer is held to PEP 3333 on the way.
    checked = validator(app)
    # Apps in an environment without Mergepoint are served without it, where nobody is anybody.
    identity = importlib.import_module("mergepoint.identity").Identity(**person) if person else None

    def answer(environ, start_response):
        path = environ["PATH_INFO"]
        if path != prefix and not path.startswith(prefix + "/"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"outside the mount"]
        if identity is not None:
            environ["mergepoint.identity"] = identity
            environ["REMOTE_USER"] = identity.user
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = prefix, path[len(prefix) :]
        return checked(environ, start_response)

    return answer


def main():
    directory, target, prefix = (*sys.argv[1:], "")[:3]
    sys.path.insert(0, directory)
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name)
    people = {"": None, **json.loads(os.environ.get("FORGE_TEST_PEOPLE", "{}"))}
    servers = {
        user: make_server("127.0.0.1", 0, mounted(app, prefix, person), Threaded, Quiet)
        for user, person in people.items()
    }
    for server in servers.values():
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({user: server.server_port for user, server in servers.items()}), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
