"""Key rings: small files of Ed25519 seeds that are created, read, and rotated with overlap.

Place:  assembly, cli, identity.accounts -> [identity.keys] -> <state_dir>/keys/*.json
Rule:   directory 0700, files 0600, replaced whole under a lock; a ring others may read is refused.

docs/reference/contracts.md section 5 has the form. `cryptography` is needed for public parts alone.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mergepoint.core.errors import Exit, MergepointError

SESSION = "session"
"""Signs session tokens; its private part is read by accounts alone."""
EDGE = "edge"
"""Signs what apps see; its current seed travels in the snapshot."""
ACCOUNTS = "accounts"
"""Signs device cookies and seals second factors; read by accounts alone.

A key of it may be dropped once nothing is sealed with it: `cli.commands.keys` sees to that.
"""
RINGS = (SESSION, EDGE, ACCOUNTS)

SEED_BYTES = 32
KEY_LEAD_S = 5.0
"""Age at which a new key begins to sign: by then everybody who verifies has read it."""
OVERLAP_S = 86400.0
"""How long a replaced key still verifies."""
KEYS_MAX = 16
RING_BYTES_MAX = 64 * 1024


class KeysRefused(MergepointError):
    """A key ring is missing, damaged, or open to other users."""

    code = "identity.keys"
    exit = Exit.CONFIG


@dataclass(frozen=True, slots=True)
class Key:
    """One seed; `created` and `not_after` in Unix seconds, None while it is the newest."""

    kid: str
    seed: bytes = field(repr=False)
    created: float
    not_after: float | None = None

    @property
    def x(self) -> str:
        """Return the public key as JWK's ``x`` (RFC 8037): base64url without padding."""
        return public_x(self.seed)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys of one purpose, newest first; never empty."""

    keys: tuple[Key, ...]

    def signing(self, now_s: float) -> Key:
        """Return the key to sign with: the newest that is `KEY_LEAD_S` old, or else the oldest."""
        ready = (k for k in self.keys if k.created + KEY_LEAD_S <= now_s)
        return next(ready, self.keys[-1])

    def due_s(self, now_s: float) -> float | None:
        """Return in how many seconds the newest key begins to sign; None when it does already."""
        newest = self.keys[0]
        return None if self.signing(now_s) is newest else newest.created + KEY_LEAD_S - now_s

    def verifying(self, now_s: float) -> tuple[Key, ...]:
        """Return every key whose signatures still count."""
        return tuple(k for k in self.keys if k.not_after is None or k.not_after > now_s)

    def find(self, kid: str) -> Key | None:
        """Return the key of that id, expired or not."""
        return next((k for k in self.keys if k.kid == kid), None)


def public_x(seed: bytes) -> str:
    """Return the public part of a seed as base64url without padding."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return base64.urlsafe_b64encode(public).rstrip(b"=").decode()


def ring_path(keys_dir: Path, name: str) -> Path:
    """Return where the ring of one of `RINGS` lies."""
    return keys_dir / f"{name}.json"


def read_ring(path: Path) -> KeyRing:
    """Return the ring; raise `KeysRefused` when it is missing, damaged or open to others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        advice = "mergepoint keys rotate" if isinstance(error, FileNotFoundError) else ""
        raise KeysRefused(f"{path}: {error.strerror}", next=advice) from None
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise KeysRefused(
                f"{path} may be read by other users (mode {mode:04o}); a key ring has 0600",
                next=f"chmod 600 {path} && mergepoint keys rotate",
            )
        content = file.read(RING_BYTES_MAX + 1)
    try:
        return decode_ring(content)
    except (ValueError, RecursionError) as error:
        raise KeysRefused(f"{path} is not a key ring: {error}", next=f"rm {path}") from None


def ensure_ring(keys_dir: Path, name: str, now_s: float) -> KeyRing:
    """Return the ring, made with one key when there is none yet; never replaces one."""
    path = ring_path(keys_dir, name)
    with _locked(keys_dir):
        if not path.exists():
            _replace(path, KeyRing((_new_key(name, now_s),)))
    return read_ring(path)


def rotate_ring(keys_dir: Path, name: str, now_s: float, overlap_s: float = OVERLAP_S) -> KeyRing:
    """Put a new key in front, keep the others for `overlap_s`, drop expired ones.

    Makes the ring when there is none. Raises `KeysRefused` rather than dropping a key that is
    still needed to stay below `KEYS_MAX`.
    """
    path = ring_path(keys_dir, name)
    with _locked(keys_dir):
        kept: tuple[Key, ...] = ()
        if path.exists():
            old = read_ring(path)
            kept = tuple(_ending(k, now_s, overlap_s) for k in old.verifying(now_s))
        if len(kept) >= KEYS_MAX:
            raise KeysRefused(
                f"{path} holds {len(kept)} keys in use, at most {KEYS_MAX}; the oldest has to end",
                next="mergepoint keys list",
            )
        ring = KeyRing((_new_key(name, now_s), *kept))
        _replace(path, ring)
    return ring


def encode_ring(ring: KeyRing) -> bytes:
    """Return the file's content."""
    keys = [
        {
            "kid": key.kid,
            "seed": base64.b64encode(key.seed).decode(),
            "created": key.created,
            "not_after": key.not_after,
        }
        for key in ring.keys
    ]
    return json.dumps({"keys": keys}, indent=1).encode() + b"\n"


def decode_ring(content: bytes) -> KeyRing:
    """Return the ring of a file's content; raise `ValueError` saying what is wrong."""
    if len(content) > RING_BYTES_MAX:
        raise ValueError(f"longer than {RING_BYTES_MAX} bytes")
    document = json.loads(content)
    rows = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not 0 < len(rows) <= KEYS_MAX:
        raise ValueError(f"'keys' must list 1 to {KEYS_MAX} keys")
    keys = tuple(_decode_key(row) for row in rows)
    if len({k.kid for k in keys}) != len(keys):
        raise ValueError("two keys have one kid")
    return KeyRing(keys)


def own_like(descriptor: int, directory: Path) -> None:
    """Give what root has just made to the owner of its directory, who has to read it."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _decode_key(row: Any) -> Key:
    if not isinstance(row, dict) or set(row) != {"kid", "seed", "created", "not_after"}:
        raise ValueError("a key has kid, seed, created and not_after")
    kid, seed, created, end = row["kid"], row["seed"], row["created"], row["not_after"]
    if not (isinstance(kid, str) and kid and isinstance(seed, str)):
        raise ValueError("kid and seed must be text")
    if not _is_time(created) or not (end is None or _is_time(end)):
        raise ValueError("created and not_after must be Unix seconds")
    try:
        raw = base64.b64decode(seed, validate=True)
    except binascii.Error:
        raise ValueError("a seed is not base64") from None
    if len(raw) != SEED_BYTES:
        raise ValueError(f"a seed has {len(raw)} bytes, not {SEED_BYTES}")
    return Key(kid, raw, float(created), None if end is None else float(end))


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e11


def _new_key(name: str, now_s: float) -> Key:
    # A random id, because one that counts would come back after a ring was deleted.
    return Key(f"{name[0]}{secrets.token_hex(4)}", secrets.token_bytes(SEED_BYTES), now_s)


def _ending(key: Key, now_s: float, overlap_s: float) -> Key:
    if key.not_after is not None:
        return key
    return Key(key.kid, key.seed, key.created, now_s + max(overlap_s, KEY_LEAD_S))


@contextmanager
def _locked(keys_dir: Path) -> Iterator[None]:
    """Hold the directory's lock; make the directory, and close it to others, on the way."""
    try:
        new = not keys_dir.exists()
        keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys_dir.chmod(0o700)
        descriptor = os.open(keys_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if new:
            own_like(descriptor, keys_dir.parent)
    except OSError as error:
        raise KeysRefused(f"{keys_dir}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, ring: KeyRing) -> None:
    """Write beside, sync, rename: a reader sees the old ring or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            own_like(file.fileno(), path.parent)
            file.write(encode_ring(ring))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise KeysRefused(f"{path} cannot be written: {error.strerror}") from None
