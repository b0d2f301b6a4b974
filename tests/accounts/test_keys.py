"""Key rings: closed to others, rotated with overlap, never lost.

Place:  make test
Rule:   files only; what verifies is asked of cryptography itself.
"""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.keys import (
    KEY_LEAD_S,
    KEYS_MAX,
    OVERLAP_S,
    Key,
    KeyRing,
    KeysRefused,
    decode_ring,
    encode_ring,
    ensure_ring,
    read_ring,
    ring_path,
    rotate_ring,
)

from .acting import NOW_S, MovedClock, log_in
from .test_sessions import claims


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_ring_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    first = ensure_ring(keys, "session", NOW_S)
    again = ensure_ring(keys, "session", NOW_S + 1)

    assert first == again == read_ring(ring_path(keys, "session"))
    assert mode(keys) == 0o700
    assert mode(ring_path(keys, "session")) == 0o600
    assert list(keys.iterdir()) == [ring_path(keys, "session")]


def test_the_file_is_the_contract_s(tmp_path: Path) -> None:
    ring = rotate_ring(tmp_path, "edge", NOW_S)
    ring = rotate_ring(tmp_path, "edge", NOW_S + 10)

    written = json.loads(ring_path(tmp_path, "edge").read_text())

    assert [set(key) for key in written["keys"]] == [{"kid", "seed", "created", "not_after"}] * 2
    assert written["keys"][0]["not_after"] is None
    assert written["keys"][1]["not_after"] == NOW_S + 10 + OVERLAP_S
    assert [base64.b64decode(key["seed"]) for key in written["keys"]] == [k.seed for k in ring.keys]


def test_a_new_key_signs_only_once_everybody_has_read_it(tmp_path: Path) -> None:
    old = ensure_ring(tmp_path, "session", NOW_S).keys[0]
    ring = rotate_ring(tmp_path, "session", NOW_S + 100)

    assert ring.signing(NOW_S + 100) == ring.keys[1]
    assert ring.signing(NOW_S + 100).kid == old.kid
    assert ring.signing(NOW_S + 100 + KEY_LEAD_S) == ring.keys[0]


def test_a_ring_says_when_its_newest_key_will_sign(tmp_path: Path) -> None:
    first = ensure_ring(tmp_path, "edge", NOW_S)
    ring = rotate_ring(tmp_path, "edge", NOW_S + 100)

    assert first.due_s(NOW_S) is None
    assert ring.due_s(NOW_S + 102) == KEY_LEAD_S - 2
    assert ring.due_s(NOW_S + 100 + KEY_LEAD_S) is None


def test_the_first_key_signs_at_once(tmp_path: Path) -> None:
    ring = ensure_ring(tmp_path, "session", NOW_S)

    assert ring.signing(NOW_S) == ring.keys[0]


def test_a_replaced_key_verifies_until_it_ends_and_is_then_dropped(tmp_path: Path) -> None:
    old = ensure_ring(tmp_path, "session", NOW_S).keys[0]
    ring = rotate_ring(tmp_path, "session", NOW_S, overlap_s=1000.0)

    assert old.kid in {k.kid for k in ring.verifying(NOW_S + 999)}
    assert old.kid not in {k.kid for k in ring.verifying(NOW_S + 1000)}
    assert ring.find(old.kid) is not None
    assert rotate_ring(tmp_path, "session", NOW_S + 1001).find(old.kid) is None


def test_no_key_still_needed_is_dropped_for_room(tmp_path: Path) -> None:
    for n in range(KEYS_MAX):
        rotate_ring(tmp_path, "session", NOW_S + n)

    with pytest.raises(KeysRefused, match="at most 16"):
        rotate_ring(tmp_path, "session", NOW_S + KEYS_MAX)
    assert len(read_ring(ring_path(tmp_path, "session")).keys) == KEYS_MAX


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o644])
def test_a_ring_others_may_read_is_refused(tmp_path: Path, bits: int) -> None:
    ensure_ring(tmp_path, "session", NOW_S)
    path = ring_path(tmp_path, "session")
    path.chmod(bits)

    with pytest.raises(KeysRefused, match="other users") as refused:
        read_ring(path)
    assert f"chmod 600 {path}" in refused.value.next


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"keys": []}', b'{"keys": [{}]}', b"\xff", b"[" * 60000, b"x" * 70000],
)
def test_a_damaged_ring_is_refused_with_a_reason(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "session.json"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(KeysRefused, match="is not a key ring"):
        read_ring(path)


@given(st.binary(max_size=300) | st.text(alphabet='{}[]":,0123456789kidsee', max_size=60))
def test_any_bytes_are_a_ring_or_refused(content: bytes | str) -> None:
    raw = content if isinstance(content, bytes) else content.encode()
    try:
        ring = decode_ring(raw)
    except (ValueError, RecursionError):
        return
    assert decode_ring(encode_ring(ring)) == ring


@given(
    st.lists(
        st.builds(
            Key,
            st.text(min_size=1, max_size=20),
            st.binary(min_size=32, max_size=32),
            st.floats(0, 1e10),
            st.none() | st.floats(0, 1e10),
        ),
        min_size=1,
        max_size=KEYS_MAX,
        unique_by=lambda key: key.kid,
    )
)
def test_a_ring_reads_as_it_was_written(keys: list[Key]) -> None:
    ring = KeyRing(tuple(keys))

    assert decode_ring(encode_ring(ring)) == ring


def test_two_who_rotate_at_once_lose_no_key(tmp_path: Path) -> None:
    first = ensure_ring(tmp_path, "session", NOW_S)
    threads = [
        threading.Thread(target=rotate_ring, args=(tmp_path, "session", NOW_S)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    ring = read_ring(ring_path(tmp_path, "session"))
    assert len(ring.keys) == 9
    assert ring.find(first.keys[0].kid) is not None


def test_the_public_part_verifies_what_the_seed_signs() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Key("k", b"\x07" * 32, NOW_S)
    signature = Ed25519PrivateKey.from_private_bytes(key.seed).sign(b"text")
    x = base64.urlsafe_b64decode(key.x + "=")

    Ed25519PublicKey.from_public_bytes(x).verify(signature, b"text")


def test_a_rotation_ends_no_session_and_needs_no_restart(
    accounts: Accounts, ada: Person, by: Caller, clock: MovedClock
) -> None:
    step, browser = log_in(accounts)
    assert step.started is not None
    keys_dir = accounts.settings.keys_dir
    old = {key["kid"] for key in accounts.feed.read("", 0)["keys"]}
    rotate_ring(keys_dir, "session", clock.now_s)

    told = {key["kid"] for key in accounts.feed.read("", 0)["keys"]}
    at_once = accounts.sessions.refresh(browser.refresh, by)
    clock.pass_s(KEY_LEAD_S)
    later = accounts.sessions.refresh(browser.refresh, by)

    assert old < told
    assert len(told) == 2
    assert at_once is not None
    assert later is not None
    for token in (step.started.token, at_once.token, later.token):
        assert claims(accounts, token)["sub"] == ada.sub
    clock.pass_s(OVERLAP_S)
    assert {key["kid"] for key in accounts.feed.read("", 0)["keys"]} == told - old


def test_a_ring_damaged_while_in_use_leaves_the_last_good_one_in_force(
    accounts: Accounts, ada: Person
) -> None:
    before = accounts.feed.read("", 0)["keys"]
    path = ring_path(accounts.settings.keys_dir, "session")
    path.write_text("{")

    assert accounts.feed.read("", 0)["keys"] == before
    path.unlink()
    assert accounts.feed.read("", 0)["keys"] == before
