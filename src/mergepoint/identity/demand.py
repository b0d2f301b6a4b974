"""`requires`: one decorator for the views of every framework, sync and async.

Place:  the user's views -> [identity.demand] -> identity.finding, identity.refusal
Rule:   no request found means an error, never a pass; decisions are pure, frameworks stay outside.
"""

from __future__ import annotations

import inspect
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from . import refusal
from .finding import carried, carrier_of, current, is_environ, is_scope
from .permissions import checked
from .subject import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Names = str | Iterable[str] | None

View = TypeVar("View", bound="Callable[..., Any]")
INJECTED = "mergepoint_connection"
"""The parameter FastAPI is asked to fill when a view takes no request itself."""


class Demand(NamedTuple):
    """What is needed: any one of these; nothing at all means anybody who is proven."""

    permissions: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def met_by(self, identity: Identity) -> bool:
        """Tell whether an identity has one of the things named; nobody never has."""
        if identity.anonymous:
            return False
        return (
            not any(self)
            or any(identity.may(name) for name in self.permissions)
            or any(identity.has_role(name) for name in self.roles)
            or any(identity.in_group(name) for name in self.groups)
        )

    def __str__(self) -> str:
        terms = [f"permission {name}" for name in self.permissions]
        terms += [f"role {name}" for name in self.roles]
        terms += [f"group {name}" for name in self.groups]
        return " or ".join(terms) or "a login"


class Asked(NamedTuple):
    """A call of a view: the request as it was found and what it carries."""

    request: Any
    carrier: Mapping[str, Any]
    rest: tuple[Any, ...]
    """The arguments after the request, when it was a positional one."""


def requires(*permissions: str, role: Names = None, group: Names = None) -> Callable[[View], View]:
    """Let a view run only for those who have one of the permissions, roles or groups named.

    Without any: for anybody proven. Decorators on top of each other must all be met. Works on
    functions, methods, and whole WSGI or ASGI apps; a refusal is `Refused`, which the framework
    answers with 401 or 403. Raises TypeError, at call time, when the view was given no request.
    """
    demand = Demand(tuple(checked(name) for name in permissions), _names(role), _names(group))

    def decorate(view: View) -> View:
        if isinstance(view, type):
            raise TypeError(f"@requires guards functions and methods, not the class {view}")
        guarded: View = _guarded(view, demand)
        return guarded

    return decorate


def _names(given: Names) -> tuple[str, ...]:
    if given is None:
        return ()
    return tuple(checked(name) for name in ([given] if isinstance(given, str) else given))


def _guarded(view: Any, demand: Demand) -> Any:
    signature, injected = signature_of(view)

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        asked = find(view, args, kwargs)
        if injected:
            kwargs.pop(INJECTED, None)
        identity = carried(asked.carrier)
        if demand.met_by(identity):
            return view(*args, **kwargs)
        return _refuse(asked, identity, str(demand))

    @wraps(view)
    async def guarded_async(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], dict) and args[0].get("type") == "lifespan":
            return await view(*args, **kwargs)
        asked = find(view, args, kwargs)
        if injected:
            kwargs.pop(INJECTED, None)
        identity = carried(asked.carrier)
        if demand.met_by(identity):
            return await view(*args, **kwargs)
        if isinstance(asked.request, dict) and is_scope(asked.request) and len(asked.rest) == 2:
            return await refusal.asgi(identity, str(demand), asked.request, *asked.rest)
        return _refuse(asked, identity, str(demand))

    made: Any = guarded_async if is_async(view) else guarded
    if signature is not None:  # Pyramid and FastAPI look here for what the view takes
        made.__signature__ = signature
    return made


def is_async(view: Any) -> bool:
    """Tell whether calling `view` gives something to await; an app object is asked for its call."""
    if inspect.iscoroutinefunction(view):
        return True
    return not inspect.isroutine(view) and inspect.iscoroutinefunction(type(view).__call__)


def _refuse(asked: Asked, identity: Identity, wanted: str) -> Any:
    plain = isinstance(asked.request, dict) and is_environ(asked.request)
    if plain and len(asked.rest) == 1 and callable(asked.rest[0]):
        return refusal.wsgi(identity, wanted, asked.rest[0])
    framework = refusal.framework_of(asked.request, asked.carrier)
    if framework == "django" and identity.anonymous:
        return refusal.django_unproven(identity, wanted)
    raise refusal.error(framework, identity, wanted)


def find(view: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Asked:
    """Return the request a view was called with, or the one its framework is at work on.

    Raises TypeError when there is none: what cannot be asked for is not let through.
    """
    for at, thing in enumerate(args):
        carrier = carrier_of(thing)
        if carrier is not None:
            return Asked(thing, carrier, args[at + 1 :])
    held = getattr(args[0], "request", None) if args else None  # a method: self.request
    for thing in (*kwargs.values(), held, current()):
        carrier = carrier_of(thing) if thing is not None else None
        if carrier is not None:
            return Asked(thing, carrier, ())
    name = getattr(view, "__qualname__", type(view).__name__)
    raise TypeError(f"@requires found no request among the arguments of {name}; give it one")


def signature_of(view: Any) -> tuple[inspect.Signature | None, bool]:
    """Return the signature to show, and whether FastAPI was asked for the connection in it.

    FastAPI gives a view only what its signature names, so a view without a request gets one more
    parameter, which the decorator takes away again.
    """
    try:
        signature = inspect.signature(view)
    except (TypeError, ValueError):  # a callable without a signature, such as a C function
        return None, False
    requests: Any = sys.modules.get("starlette.requests")
    if requests is None or "fastapi" not in sys.modules:
        return signature, False
    wanted = requests.HTTPConnection
    parameters = list(signature.parameters.values())
    if any(_takes_request(parameter.annotation, wanted) for parameter in parameters):
        return signature, False
    kind = inspect.Parameter.KEYWORD_ONLY
    more = inspect.Parameter(INJECTED, kind, annotation=wanted)
    last = [p for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
    kept = [p for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return signature.replace(parameters=[*kept, more, *last]), True


def _takes_request(annotation: Any, connection: type) -> bool:
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] in ("Request", "WebSocket", "HTTPConnection")
    return isinstance(annotation, type) and issubclass(annotation, connection)
