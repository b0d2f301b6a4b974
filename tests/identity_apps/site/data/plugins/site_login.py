"""Tell datasette who asks."""

from datasette import hookimpl

from mergepoint.identity import of


@hookimpl
def actor_from_request(request):
    who = of(request)
    return None if who.anonymous else {"id": who.user, "roles": list(who.roles)}
