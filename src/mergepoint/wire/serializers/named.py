"""Which serializer a name or a content type means.

Place:  bus.codec -> [wire.serializers.named] -> json_values, msgpack_values, signed, entry points
Rule:   nothing is imported before it is named; one list of what is built in.

An entry point of the group `mergepoint.serializers` is a callable that takes the options of the
site (a mapping) and returns a `Serializer`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mergepoint.core.clock import Clock
from mergepoint.wire.serializers.contract import Refused, Serializer
from mergepoint.wire.serializers.json_values import JsonSerializer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP = "mergepoint.serializers"
BUILT_IN = ("json", "msgpack", "signed")
Options = Mapping[str, Any]
"""What `MERGEPOINT_BUS` says under `serializer_options`."""


def serializer_named(name: str, options: Options, clock: Clock) -> Serializer:
    """Return the serializer of this name; raise `Refused` naming those there are."""
    if name == "json":
        return JsonSerializer()
    if name == "msgpack":
        from mergepoint.wire.serializers.msgpack_values import MsgpackSerializer

        return MsgpackSerializer()
    if name == "signed":
        return _signed(options, clock)
    for point in _points():
        if point.name == name:
            made: Serializer = point.load()(options)
            return made
    others = sorted(point.name for point in _points())
    raise Refused(f"no serializer {name!r}; there are {', '.join((*BUILT_IN, *others))}")


def reader_of(content_type: str, options: Options, clock: Clock) -> Serializer:
    """Return who reads this content type, parameters aside; raise `Refused` when nobody does."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", "application/json") or kind.endswith("+json"):
        return JsonSerializer()
    if kind in ("application/msgpack", "application/x-msgpack"):
        return serializer_named("msgpack", options, clock)
    if kind == "application/vnd.mergepoint.signed":
        return _signed(options, clock)
    for point in _points():
        made: Serializer = point.load()(options)
        if made.content_type == kind:
            return made
    raise Refused(f"nobody here reads {content_type!r}")


def _points() -> EntryPoints:
    """Return what packages add; looked for when a name is not built in, not at every start."""
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def _signed(options: Options, clock: Clock) -> Serializer:
    """Return the signed serializer: `key`, `keys` (id to base64), `private`, `inner`, `age_s`."""
    from mergepoint.wire.serializers import keys, signed

    if "key" not in options or "keys" not in options:
        raise Refused(
            "signed messages need keys: serializer_options with key (the id that signs) and keys"
            " (ids and their base64)"
        )
    known = {key_id: _raw(key_id, text) for key_id, text in options["keys"].items()}
    inner = serializer_named(options.get("inner", "json"), {}, clock)
    signing: keys.SigningKeys
    if options.get("algorithm", "hs256") == "ed25519":
        private = _raw("private", options["private"]) if options.get("private") else None
        signing = keys.Ed25519Keys(options["key"], private, known)
    else:
        signing = keys.HmacKeys(options["key"], known)
    return signed.SignedSerializer(
        inner, signing, clock, age_s_max=float(options.get("age_s", signed.AGE_S_MAX))
    )


def _raw(key_id: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Refused(f"key {key_id!r} is no base64") from None
