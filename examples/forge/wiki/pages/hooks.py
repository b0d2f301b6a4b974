"""What the wiki is told: a POST for every event of the tickets, as `[[subscriptions]]` asks for.

Place:  urls -> [hooks] -> tickets
Rule:   plain HTTP, as any app can take it; only the site itself can send the header it needs.
"""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from pages import tickets

DELIVERY = "Mergepoint-Delivery"
"""The edge takes it off whatever clients send, so its presence proves who posts."""


@csrf_exempt
@require_POST
def ticket(request: HttpRequest) -> HttpResponse:
    """Note what a ticket names; 204 also for old news, so that nobody posts them again."""
    if DELIVERY not in request.headers:
        return HttpResponse("This address is for the site's own messages.\n", status=403)
    try:
        tickets.keep(json.loads(request.body))
    except (ValueError, KeyError, TypeError) as error:
        # 410 makes it a dead letter at once: what cannot be read today cannot be read tomorrow.
        return HttpResponse(f"No event of a ticket: {error!r}\n", status=410)
    return HttpResponse(status=204)
