"""A Django app that asks for a task and completes it in atomic blocks. Not a test itself.

django_app.py: told of its bus by `MERGEPOINT_BUS`; prints what it saw, a word for each.
"""

from __future__ import annotations

import json
import os
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings

URL = urlsplit(json.loads(os.environ["MERGEPOINT_BUS"])["url"])
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": URL.path.lstrip("/"),
            "USER": URL.username,
            "HOST": parse_qs(URL.query)["host"][0],
        }
    },
    INSTALLED_APPS=[],
)
django.setup()

from django.db import transaction  # noqa: E402 - after the settings

import mergepoint  # noqa: E402
from mergepoint.tasks.contract import Start  # noqa: E402
from mergepoint.tasks.executing import context_of  # noqa: E402

site = mergepoint.connect()


@site.tasks.task
def work() -> None: ...


async def begun() -> object:
    ledger = await site.ledger()
    (answer,) = await ledger.start([Start(message_id=handle.id, token="1")])
    return answer.record


site.wait(site.ledger)
with transaction.atomic():
    handle = work.enqueue()
print(handle.record().state)
context = context_of(site.wait(begun), None)  # type: ignore[arg-type]
with transaction.atomic():
    context.complete("default")
    transaction.set_rollback(True)
print(handle.record().state)
with transaction.atomic():
    context.complete("default")
print(handle.record().state)
site.close()
