"""Arguments of a task to bytes and back, with errors that name the argument.

Place:  tasks.declare, tasks.executing -> [tasks.arguments]
Rule:   pure but for the codec; what cannot be called is refused where it is enqueued.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mergepoint.bus.errors import Undecodable
from mergepoint.tasks.errors import ArgumentsRefused
from mergepoint.tasks.home import Codec
from mergepoint.tasks.spec import KEY_CHARACTERS_MAX, PAYLOAD_BYTES_MAX

CONTEXT_NAME = "ctx"
"""A parameter of this name is given the `Context`, not an argument of the caller."""


def signature_of(function: Callable[..., Any]) -> tuple[inspect.Signature, bool]:
    """Return what callers pass, and whether the handler wants its `Context`."""
    whole = inspect.signature(function)
    kept = [p for p in whole.parameters.values() if p.name != CONTEXT_NAME]
    return whole.replace(parameters=kept), len(kept) < len(whole.parameters)


def bound(
    name: str, signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Return the arguments by name; raise `ArgumentsRefused` as a call would raise TypeError."""
    try:
        made = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentsRefused(f"{name}{signature}: {error}") from None
    made.apply_defaults()
    return made


def encode(
    name: str, codec: Codec, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[bytes, str]:
    """Return payload and content type; raise `ArgumentsRefused` naming the argument."""
    try:
        data, content_type = codec.encode({"args": list(args), "kwargs": dict(kwargs)})
    except Undecodable as error:
        raise ArgumentsRefused(
            f"{name}: {_culprit(codec, args, kwargs)}: {error.message}"
        ) from None
    if len(data) > PAYLOAD_BYTES_MAX:
        raise ArgumentsRefused(
            f"{name}: {len(data)} bytes of arguments; {PAYLOAD_BYTES_MAX} at most",
            next="store them where both sides can reach them, and pass their name",
        )
    return data, content_type


def decode(codec: Codec, payload: bytes, content_type: str) -> tuple[list[Any], dict[str, Any]]:
    """Return args and kwargs; raise `Undecodable` for what `encode` never wrote."""
    if not payload:
        return [], {}
    value = codec.decode(payload, content_type)
    if not isinstance(value, dict) or not value.keys() <= {"args", "kwargs"}:
        raise Undecodable('the payload is not {"args": [...], "kwargs": {...}}')
    args, kwargs = value.get("args", []), value.get("kwargs", {})
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise Undecodable("args is no list, or kwargs no object")
    return args, kwargs


def key_of(name: str, wanted: Any, made: inspect.BoundArguments) -> str:
    """Return the key: of a function of the arguments, or by the name of one of them."""
    if not wanted:
        return ""
    if callable(wanted):
        key = str(wanted(*made.args, **made.kwargs))
    elif wanted in made.arguments:
        key = str(made.arguments[wanted])
    else:
        raise ArgumentsRefused(f"{name}: key={wanted!r} names no argument")
    return key if len(key) <= KEY_CHARACTERS_MAX else fingerprint(key)


def unique_key_of(name: str, by: Sequence[str], made: inspect.BoundArguments, codec: Codec) -> str:
    """Return what is the same for the same arguments, or for those named in `by`."""
    chosen = {key: made.arguments[key] for key in by} if by else dict(made.arguments)
    data, _ = encode(name, codec, [], dict(sorted(chosen.items())))
    return f"{name}:{hashlib.blake2b(data, digest_size=16).hexdigest()}"


def fingerprint(text: str) -> str:
    """Return a short text that stands for a long one."""
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def _culprit(codec: Codec, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Name the first argument that cannot be written alone."""
    several = [*((f"argument {n}", a) for n, a in enumerate(args, 1)), *kwargs.items()]
    for label, value in several:
        try:
            codec.encode(value)
        except Undecodable:
            return f"{label} ({type(value).__name__})"
    return "the arguments"
