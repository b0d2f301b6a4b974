"""Who has a job: a record for each job in hand, changed only by whoever knows its last revision.

Place:  bus.adapters.nats_queues -> [nats_fence] -> nats_link
Rule:   whatever ends a job changes its record first; who cannot change it has lost the job.

JetStream accepts an acknowledgement of any delivery, old ones too, so it cannot fence. The record
can: it is the last message of a subject of its own, replaced with `Nats-Expected-Last-Subject-
Sequence`, and its revision is the token. It goes away with the job.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from mergepoint.bus.adapters.nats_link import FULL, NO_STREAM, WRONG_SEQUENCE, ApiFault, Link
from mergepoint.bus.adapters.nats_wire import EXPECTED

BALLAST, BALLAST_PARTS, BALLAST_PART_BYTES, BALLAST_S = "=", 4, 256 * 1024, 300.0
"""What lies in the stream to be thrown away when the disk is full; looked after every so often."""
NO_INBOX = "_INBOX.mergepoint.nobody"
"""Where answers go that nobody waits for."""


class Stage(StrEnum):
    """Where a job is that was delivered at least once."""

    LEASED = "leased"
    BACK = "back"
    DYING = "dying"
    DONE = "done"


@dataclass(frozen=True)
class Record:
    """One job in hand. `delivered` is the server's count, `free` those that are no attempt."""

    stage: Stage
    delivered: int
    free: int = 0
    worker: str = ""
    reason: str = ""
    token: str = ""

    @property
    def attempt(self) -> int:
        """How often it was tried, this time included."""
        return self.delivered - self.free


@dataclass(frozen=True)
class Treatment:
    """How a job wants to be treated, from its headers."""

    due: float = 0.0
    expires_at: float = 0.0
    attempts_max: int = 1


class Do(StrEnum):
    """What to do with a delivery."""

    LEASE = "lease"
    LATER = "later"
    BURY = "bury"
    FINISH = "finish"
    IGNORE = "ignore"


@dataclass(frozen=True)
class Verdict:
    """What to do, and the record to write for it; IGNORE and FINISH write none."""

    do: Do
    record: Record | None = None


def judge(
    known: Record | None, delivered: int, how: Treatment, now: float, worker: str, token: str
) -> Verdict:
    """Decide on a delivery, by what is known of its job."""
    free, reason = (known.free, known.reason) if known else (0, "")
    if known and known.stage is Stage.DONE:
        return Verdict(Do.FINISH)
    if known and known.stage is not Stage.DYING and known.delivered >= delivered:
        return Verdict(Do.IGNORE)  # an older delivery that was on its way for very long
    record = Record(Stage.DYING, delivered, free, worker, reason, token)
    if known and known.stage is Stage.DYING:
        return Verdict(Do.BURY, replace(record, free=known.free + delivered - known.delivered))
    if 0 < how.expires_at <= now:
        return Verdict(Do.BURY, replace(record, free=free + 1, reason="expired"))
    if how.due > now:
        return Verdict(Do.LATER, replace(record, stage=Stage.BACK, free=free + 1))
    if record.attempt > how.attempts_max:
        ended = "the lease ended" if known and known.stage is Stage.LEASED else reason
        told = ended or "no attempts left"
        return Verdict(Do.BURY, replace(record, free=free + 1, reason=told))
    return Verdict(Do.LEASE, replace(record, stage=Stage.LEASED))


class Fence:
    """The records of one site."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ballast_at = 0.0

    async def read(self, subject: str) -> tuple[Record | None, int]:
        """Return the record and its revision; None and 0 when the job is in no hand."""
        stream = await self._link.stream("fence")
        try:
            found = await self._link.stored(stream, last_by_subj=subject)
        except ApiFault as fault:
            self._link.forget(stream)
            raise fault.told() from None
        if found is None:
            return None, 0
        return _record(found.data), found.sequence

    async def write(self, subject: str, record: Record, revision: int) -> int:
        """Replace the record of that revision; return the new one, 0 when it is another by now."""
        stream = await self._link.stream("fence")
        await self.reserve()
        data = json.dumps(asdict(record), separators=(",", ":")).encode()
        try:
            return await self._replace(subject, data, revision)
        except ApiFault as fault:
            if fault.code == NO_STREAM:
                self._link.forget(stream)
            if fault.code not in FULL:
                raise fault.told() from None
        # Whoever finishes a job makes room: that must go on when nothing else does.
        await self._drop_ballast(stream)
        try:
            return await self._replace(subject, data, revision)
        except ApiFault as fault:
            raise fault.told() from None

    async def _replace(self, subject: str, data: bytes, revision: int) -> int:
        try:
            return int((await self._link.store(subject, data, {EXPECTED: str(revision)}))["seq"])
        except ApiFault as fault:
            if fault.code == WRONG_SEQUENCE:
                return 0
            raise

    async def reserve(self) -> None:
        """Keep room that can be given up when the disk is full; seen to once in a while."""
        now = self._link.clock.monotonic_s()
        if now < self._ballast_at:
            return
        await self._link.stream("fence")
        self._ballast_at = now + BALLAST_S
        for number in range(BALLAST_PARTS):
            subject = f"{self._link.names.prefix}.f.{BALLAST}.{number}"
            with contextlib.suppress(ApiFault):
                await self._replace(subject, b"\0" * BALLAST_PART_BYTES, 0)

    async def _drop_ballast(self, stream: str) -> None:
        # A purge of these subjects alone does not free their room in the server's books (2.9.10).
        with contextlib.suppress(ApiFault):
            for number in range(BALLAST_PARTS):
                subject = f"{self._link.names.prefix}.f.{BALLAST}.{number}"
                if (part := await self._link.stored(stream, last_by_subj=subject)) is not None:
                    await self._link.api(f"STREAM.MSG.DELETE.{stream}", seq=part.sequence)

    async def remove(self, revision: int) -> None:
        """Let a record go; what is lost of this costs a hundred bytes on the server's disk."""
        if not self._link.connected:
            return
        subject = f"$JS.API.STREAM.MSG.DELETE.{self._link.names.stream('fence')}"
        data = json.dumps({"seq": revision, "no_erase": True}).encode()
        await (await self._link.client()).publish(subject, data, reply=NO_INBOX)


def _record(data: bytes) -> Record:
    told = json.loads(data)
    return Record(**{**told, "stage": Stage(told["stage"])})
