"""Values come back equal, and what cannot is refused with its place."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
from hypothesis import given, strategies

from mergepoint.bus.codec import Codec
from mergepoint.bus.errors import BusRefused, Undecodable
from mergepoint.testing.virtual_time import VirtualTime
from mergepoint.wire.serializers.contract import Refused
from mergepoint.wire.serializers.json_values import JsonSerializer
from mergepoint.wire.serializers.keys import Ed25519Keys, HmacKeys
from mergepoint.wire.serializers.msgpack_values import MsgpackSerializer
from mergepoint.wire.serializers.signed import SignedSerializer

JSON = JsonSerializer()
SECRET = b"s" * 32
scalars = (
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-(2**63), 2**63 - 1)
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | strategies.text()
    | strategies.binary()
    | strategies.datetimes(timezones=strategies.just(UTC) | strategies.none())
    | strategies.dates()
    | strategies.times()
    | strategies.uuids()
    | strategies.decimals(allow_nan=False, allow_infinity=False)
    | strategies.sets(strategies.integers(0, 9), max_size=3)
)
values = strategies.recursive(
    scalars,
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(
            strategies.text(max_size=6) | strategies.sampled_from(("$date", "$$set", "$")),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


class Colour(Enum):
    RED = "red"


@dataclasses.dataclass
class Mail:
    to: str
    at: datetime


def signed(**how: object) -> SignedSerializer:
    keys = how.pop("keys", HmacKeys("k1", {"k1": SECRET}))
    return SignedSerializer(JSON, keys, how.pop("clock", VirtualTime()), **how)  # type: ignore[arg-type]


@given(values)
def test_every_value_comes_back_equal_from_json(value: object) -> None:
    assert JSON.decode(JSON.encode(value)) == value


@given(values)
def test_every_value_comes_back_equal_from_msgpack(value: object) -> None:
    serializer = MsgpackSerializer()
    assert serializer.decode(serializer.encode(value)) == value


@given(values)
def test_every_value_comes_back_equal_from_signed(value: object) -> None:
    serializer = signed()
    assert serializer.decode(serializer.encode(value)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (
            datetime(2026, 11, 21, 16, 40, tzinfo=timezone(timedelta(hours=1))),
            {"$datetime": "2026-11-21T16:40:00+01:00"},
        ),
        (date(2026, 11, 21), {"$date": "2026-11-21"}),
        (time(16, 40), {"$time": "16:40:00"}),
        (timedelta(seconds=1.5), {"$seconds": 1.5}),
        (UUID(int=1), {"$uuid": "00000000-0000-0000-0000-000000000001"}),
        (Decimal("1.10"), {"$decimal": "1.10"}),
        (b"\x00", {"$bytes": "AA=="}),
        ({2, 1}, {"$set": [1, 2]}),
        ((1, 2), [1, 2]),
        (Colour.RED, "red"),
        (Mail("a", datetime(2026, 1, 1)), {"to": "a", "at": {"$datetime": "2026-01-01T00:00:00"}}),
        ({"$ref": 1}, {"$$ref": 1}),
    ],
)  # fmt: skip
def test_json_has_the_documented_forms(value: object, written: object) -> None:
    assert json.loads(JSON.encode(value)) == written


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"items": [1, object()]}, "value['items'][1]"),
        ({"x": float("nan")}, "value['x'] is nan"),
        ({1: 2}, "the key 1"),
        ("\ud800", "lone surrogate"),
        (1 << 5000, "5001 bits"),
    ],
)
def test_what_cannot_be_written_is_named_with_its_place(value: object, place: str) -> None:
    with pytest.raises(Refused) as caught:
        JSON.encode(value)
    assert place in str(caught.value)


def test_endless_nesting_is_refused_both_ways() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(Refused):
        JSON.encode(value)
    with pytest.raises(Refused):
        JSON.decode(b"[" * 100_000)
    with pytest.raises(Refused):
        MsgpackSerializer().decode(b"\x91" * 100_000)


@pytest.mark.parametrize(
    "data", [b"{", b"\xff", b"NaN", b'{"$date": "x"}', b'{"$other": 1}', b'{"$set": 3}']
)
def test_json_that_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(Refused):
        JSON.decode(data)


@given(strategies.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for serializer in (JSON, MsgpackSerializer(), signed()):
        with contextlib.suppress(Refused):
            serializer.decode(data)


@given(strategies.integers(0, 10_000), strategies.integers(1, 255))
def test_a_signed_value_with_any_byte_changed_is_refused(position: int, flip: int) -> None:
    serializer = signed()
    data = bytearray(serializer.encode({"to": "alice"}))
    data[position % len(data)] ^= flip
    with pytest.raises(Refused):
        serializer.decode(bytes(data))


def test_an_unsigned_value_is_refused() -> None:
    with pytest.raises(Refused, match="not signed"):
        signed().decode(b'{"to":"alice"}')


def test_an_old_signature_is_refused() -> None:
    clock = VirtualTime()
    serializer = signed(clock=clock, age_s_max=60.0)
    data = serializer.encode(1)
    clock._now = 61.0
    with pytest.raises(Refused, match="61 s ago"):
        serializer.decode(data)


def test_a_signature_from_the_future_is_refused() -> None:
    ahead = VirtualTime()
    ahead._now = 400.0
    with pytest.raises(Refused, match="in the future"):
        signed().decode(signed(clock=ahead).encode(1))


def test_another_secret_is_refused() -> None:
    forged = signed(keys=HmacKeys("k1", {"k1": b"x" * 32})).encode(1)
    with pytest.raises(Refused, match="wrong"):
        signed().decode(forged)


def test_keys_are_changed_while_messages_wait() -> None:
    waiting = signed().encode("old")
    both = signed(keys=HmacKeys("k2", {"k1": SECRET, "k2": b"t" * 32}))
    assert both.decode(waiting) == "old"
    with pytest.raises(Refused):
        signed().decode(both.encode("new"))


def test_a_reader_with_a_public_key_cannot_sign() -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    private = ed25519.Ed25519PrivateKey.generate()
    public = {"k1": private.public_key().public_bytes_raw()}
    writer = signed(keys=Ed25519Keys("k1", private.private_bytes_raw(), public))
    reader = signed(keys=Ed25519Keys("k1", None, public))
    data = writer.encode({"a": 1})
    assert reader.decode(data) == {"a": 1}
    with pytest.raises(Refused):
        reader.encode(1)
    with pytest.raises(Refused):
        reader.decode(data[:-1] + b" ")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(Refused, match="32"):
        HmacKeys("k1", {"k1": b"short"})


def test_readers_go_by_what_a_message_says_of_itself() -> None:
    clock = VirtualTime()
    before, after = Codec("json", {}, clock), Codec("msgpack", {}, clock)
    assert after.decode(*before.encode({"a": b"1"})) == {"a": b"1"}
    assert before.decode(*after.encode({"a": b"1"})) == {"a": b"1"}
    assert before.decode(b"{}", "application/vnd.acme+json; charset=utf-8") == {}


def test_a_site_that_signs_reads_nothing_unsigned() -> None:
    options = {"key": "k1", "keys": {"k1": base64.b64encode(SECRET).decode()}}
    codec = Codec("signed", options, VirtualTime())
    assert codec.decode(*codec.encode([1])) == [1]
    with pytest.raises(Undecodable, match="not signed"):
        codec.decode(b"[1]", "application/json")


def test_an_unknown_content_type_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="text/csv"):
        Codec("json", {}, VirtualTime()).decode(b"a", "text/csv")


def test_an_unknown_serializer_is_refused_with_those_there_are() -> None:
    with pytest.raises(BusRefused, match="json, msgpack, signed"):
        Codec("pickle", {}, VirtualTime())


def test_a_signing_site_without_keys_is_refused() -> None:
    with pytest.raises(BusRefused, match="keys"):
        Codec("signed", {}, VirtualTime())
