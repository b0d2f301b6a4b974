"""The same small app in Django, for WSGI and for ASGI."""

import hashlib
import time

import called
import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
from django.urls import get_script_prefix, path, reverse
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    SECRET_KEY="only for this test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_X_FORWARDED_HOST=False,
    DATA_UPLOAD_MAX_MEMORY_SIZE=None,
)


def index(request):
    return HttpResponse(reverse("item", args=[7]))


def item(request, number):
    return HttpResponse(f"item {number}")


def go(request):
    return HttpResponseRedirect(reverse("item", args=[7]))


def cookie(request):
    answer = HttpResponse(request.COOKIES.get("choc", "none"))
    answer.set_cookie("choc", "chip", path=get_script_prefix())
    return answer


def stream(request):
    def chunks():
        for number in range(3):
            yield f"chunk {number}\n"
            time.sleep(0.15)

    return StreamingHttpResponse(chunks(), content_type="text/plain")


@csrf_exempt
def upload(request):
    digest, size = hashlib.sha256(), 0
    while chunk := request.read(65536):
        digest.update(chunk)
        size += len(chunk)
    return HttpResponse(f"{size} {digest.hexdigest()}")


def slow(request):
    time.sleep(0.8)
    return HttpResponse("slow but done")


def env(request):
    told = getattr(request, "scope", {}).get("mergepoint") or {
        "request_id": request.META.get("mergepoint.request_id")
    }
    return JsonResponse(
        {
            "scheme": request.scheme,
            "host": request.get_host(),
            "client": request.META["REMOTE_ADDR"],
            "request_id": told["request_id"],
        }
    )


def call(request, rest):
    if hasattr(request, "scope"):
        name, value = request.scope["mergepoint"]["call"](called.asgi, at="/call")
    else:
        name, value = request.META["mergepoint.call"](called.application, at="/call")
    answer = HttpResponse("not seen", headers={name: value})
    answer.set_cookie("kept", "yes")
    return answer


urlpatterns = [
    path("", index),
    path("item/<int:number>", item, name="item"),
    path("call/<path:rest>", call),
    *[path(view.__name__, view) for view in (go, cookie, stream, upload, slow, env)],
]
django.setup()
app = WSGIHandler()
asgi = ASGIHandler()
