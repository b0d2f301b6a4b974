"""A Django app that enqueues, run in a process of its own. Not a test itself.

django_app.py <scene> <default url> <other url>: prints one word for each thing it saw.
"""

from __future__ import annotations

import sys
from urllib.parse import parse_qs, urlsplit

import django
from django.conf import settings


def database(url: str) -> dict[str, object]:
    if url.startswith("sqlite"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "HOST": parse_qs(parts.query)["host"][0],
    }


settings.configure(
    DATABASES={"default": database(sys.argv[2]), "other": database(sys.argv[3])},
    DATABASE_ROUTERS=[],
    INSTALLED_APPS=[],
)
django.setup()

from django.db import connection, connections, transaction  # noqa: E402 - after the settings

from mergepoint.assembly.connect import Document, Site  # noqa: E402
from mergepoint.bus.contract import Limits, Put  # noqa: E402
from mergepoint.core.clock import SystemClock  # noqa: E402
from mergepoint.tasks import outbox  # noqa: E402
from mergepoint.tasks.outbox import OutboxRefused  # noqa: E402
from mergepoint.wire.envelope import Message  # noqa: E402


def order(id_: str, using: str = "default") -> None:
    with connections[using].cursor() as cursor:
        cursor.execute("INSERT INTO orders VALUES (%s)", [id_])


def enqueue(id_: str, where: object = None) -> None:
    joined = outbox.join(where)
    if joined is None:
        print("nothing to join")
        return
    joined.put("mail", [Put(message=Message(id=id_, source="shop", type="mail"))])


def refused(where: object = None) -> None:
    try:
        enqueue("never", where)
    except OutboxRefused as error:
        print(f"refused: {error}")


def blocks() -> None:
    with transaction.atomic():
        order("1")
        enqueue("m1")
        try:
            with transaction.atomic():
                enqueue("m2")
                raise ValueError
        except ValueError:
            pass
        with transaction.atomic():
            enqueue("m3")
    try:
        with transaction.atomic():
            order("2")
            enqueue("m4")
            raise ValueError
    except ValueError:
        pass
    enqueue("m5")


def aliases() -> None:
    with transaction.atomic(using="other"):
        order("1", "other")
        enqueue("m1")
        with transaction.atomic():
            refused()
            enqueue("m2", "other")
            enqueue("m3", connections["other"])
            enqueue("m4", connection)
            transaction.set_rollback(True)


def refusals() -> None:
    refused("default")
    refused("nowhere")
    with transaction.atomic():
        order("1")
        transaction.set_rollback(True)
        refused("default")


def bus() -> None:
    site = Site(Document(url="hub+unix:///nowhere/hub.sock", address="shop/0"), SystemClock())
    for number, fails in enumerate((False, True, False)):
        try:
            with transaction.atomic():
                order(str(number))
                site.bus.queue("mail").put({}, id=f"put{number}")
                site.bus.publish("orders.taken", {}, id=f"event{number}")
                if fails:
                    raise ValueError
        except ValueError:
            pass
    site.close()


def nudged() -> None:
    """Commit once for each line that is read; the next argument is where the relay listens."""
    outbox.belong_to(bus_url="", limits=Limits(), clock=SystemClock(), nudge=sys.argv[4])
    for number, _ in enumerate(sys.stdin):
        with transaction.atomic():
            order(str(number))
            enqueue(f"m{number}")


if __name__ == "__main__":
    scenes = (blocks, bus, nudged, aliases, refusals)
    {scene.__name__: scene for scene in scenes}[sys.argv[1]]()
