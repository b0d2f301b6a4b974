"""A Django app that asks for its tasks and shows what became of them."""
# ruff: noqa: E402 - Django is set up before anything of it is imported

import os
from datetime import UTC, datetime, timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop_settings")

import django

django.setup()

import work
from django.core.wsgi import get_wsgi_application
from django.db import connection, transaction
from django.http import HttpRequest, JsonResponse
from django.urls import path


def told(result) -> JsonResponse:
    return JsonResponse(
        {
            "id": result.id,
            "status": str(result.status),
            "value": result.return_value if result.status == "SUCCESSFUL" else None,
            "errors": [[e.exception_class.__name__, e.traceback] for e in result.errors],
            "attempts": result.attempts,
            "args": result.args,
            "queue": result.task.queue_name,
            "enqueued": str(result.enqueued_at),
            "finished": str(result.finished_at),
        }
    )


def enqueue(request: HttpRequest, name: str) -> JsonResponse:
    task = getattr(work, name)
    later = request.GET.get("after")
    if later:
        task = task.using(run_after=datetime.now(UTC) + timedelta(seconds=float(later)))
    return told(task.enqueue(*[int(a) if a.isdigit() else a for a in request.GET.getlist("a")]))


def atomically(request: HttpRequest) -> JsonResponse:
    from mergepoint.tasks import outbox

    with connection.cursor() as cursor:
        for statement in outbox.ddl(connection.vendor):
            cursor.execute(statement)
    ids = []
    for fails in (True, False):
        try:
            with transaction.atomic():
                ids.append(work.add.enqueue(1, 1).id)
                if fails:
                    raise ValueError("rolled back")
        except ValueError:
            continue
    return JsonResponse({"rolled_back": ids[0], "committed": ids[1]})


def result(request: HttpRequest, identifier: str) -> JsonResponse:
    from work import add

    try:
        return told(add.get_backend().get_result(identifier))
    except Exception as error:
        return JsonResponse({"error": type(error).__name__}, status=404)


urlpatterns = [
    path("enqueue/<str:name>", enqueue),
    path("atomically", atomically),
    path("result/<str:identifier>", result),
]
application = get_wsgi_application()
