"""A WSGI app beside it: enqueues as Celery's guide shows, and through the site's bus."""

import json
from urllib.parse import parse_qs

import mailing

import mergepoint

site = mergepoint.connect()
queue = site.bus.queue("celery.mailer")


def application(environ, start_response):
    asked = parse_qs(environ["QUERY_STRING"])
    if environ["PATH_INFO"] == "/celery":
        told = mailing.send.delay(asked["to"][0]).id
    else:
        job = {"task": asked["task"][0], "kwargs": json.loads(asked.get("kwargs", ["{}"])[0])}
        told = queue.put(job)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(getattr(told, "id", told)).encode()]
