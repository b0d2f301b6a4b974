"""Serve one WSGI application at one mount with the standard library's server, on a free port.

Place:  tests.forge.conftest -> [serve_app] -> an app of the forge
Rule:   runs in the app's own Python; prints the port and serves until it is ended.

    python serve_app.py DIRECTORY MODULE:ATTRIBUTE [PREFIX]
"""

import importlib
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.validate import validator


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *args):  # noqa: A002 - the name is the base class's
        pass


def mounted(app, prefix):
    # Every answer is held to PEP 3333 on the way.
    checked = validator(app)

    def answer(environ, start_response):
        path = environ["PATH_INFO"]
        if path != prefix and not path.startswith(prefix + "/"):
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"outside the mount"]
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = prefix, path[len(prefix) :]
        return checked(environ, start_response)

    return answer


def main():
    directory, target, prefix = (*sys.argv[1:], "")[:3]
    sys.path.insert(0, directory)
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name)
    server = make_server("127.0.0.1", 0, mounted(app, prefix), Threaded, Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
