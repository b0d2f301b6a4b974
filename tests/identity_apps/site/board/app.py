"""A Pyramid app with ACLs on its resources, as its own tutorial writes them."""

from pyramid.authorization import Allow, Authenticated
from pyramid.config import Configurator
from pyramid.response import Response

from mergepoint.identity.adapters.pyramid import IdentityPolicy


class Notice:
    """Something on the board."""

    __acl__ = ((Allow, Authenticated, "view"), (Allow, "role:admin", "edit"))

    def __init__(self, request):
        self.request = request


def view(request):
    return Response(f"seen by {request.authenticated_userid}")


def edit(request):
    return Response(f"edited by {request.identity.name or request.identity.user}")


def make():
    with Configurator() as config:
        config.set_security_policy(IdentityPolicy())
        config.add_route("view", "/view", factory=Notice)
        config.add_view(view, route_name="view", permission="view")
        config.add_route("edit", "/edit", factory=Notice)
        config.add_view(edit, route_name="edit", permission="edit")
        return config.make_wsgi_app()
