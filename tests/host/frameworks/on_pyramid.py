"""The same small app in Pyramid."""

import hashlib
import time

import called
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound
from pyramid.response import Response


def index(request):
    return Response(request.route_path("item", number=7))


def item(request):
    return Response(f"item {request.matchdict['number']}")


def go(request):
    return HTTPFound(request.route_path("item", number=7))


def cookie(request):
    answer = Response(request.cookies.get("choc", "none"))
    answer.set_cookie("choc", "chip", path=request.script_name + "/")
    return answer


def stream(request):
    def chunks():
        for number in range(3):
            yield f"chunk {number}\n".encode()
            time.sleep(0.15)

    return Response(app_iter=chunks(), content_type="text/plain")


def upload(request):
    digest, size = hashlib.sha256(), 0
    while chunk := request.body_file.read(65536):
        digest.update(chunk)
        size += len(chunk)
    return Response(f"{size} {digest.hexdigest()}")


def slow(request):
    time.sleep(0.8)
    return Response("slow but done")


def env(request):
    return Response(
        json_body={
            "scheme": request.scheme,
            "host": request.host,
            "client": request.client_addr,
            "request_id": request.environ["mergepoint.request_id"],
        }
    )


def call(request):
    answer = Response("not seen")
    name, value = request.environ["mergepoint.call"](called.application, at="/call")
    answer.headers[name] = value
    answer.set_cookie("kept", "yes")
    return answer


def make():
    with Configurator() as config:
        for name, pattern in (("item", "/item/{number}"), ("call", "/call/{rest:.*}")):
            config.add_route(name, pattern)
        config.add_route("index", "/")
        for view in (item, call, index):
            config.add_view(view, route_name=view.__name__)
        for view in (go, cookie, stream, upload, slow, env):
            config.add_route(view.__name__, "/" + view.__name__)
            config.add_view(view, route_name=view.__name__)
        return config.make_wsgi_app()


app = make()
