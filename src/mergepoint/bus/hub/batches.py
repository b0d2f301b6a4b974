"""Calls that are done in the store: one by one, or several in one transaction.

Place:  bus.hub.hub -> [bus.hub.batches] -> bus.hub.groups, bus.hub.inside, extensions
Rule:   a batch is done whole or not at all; its answer says which call refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mergepoint.bus.errors import BusError, BusRefused
from mergepoint.bus.hub import fields
from mergepoint.bus.hub.call import Call
from mergepoint.bus.hub.database import is_callers
from mergepoint.bus.hub.extension import CALL_S_MAX, Extension
from mergepoint.bus.hub.fields import Head
from mergepoint.bus.hub.groups import Groups
from mergepoint.bus.hub.holding import Taken
from mergepoint.bus.hub.inside import Deliver, Inside
from mergepoint.bus.hub.log import Log
from mergepoint.bus.hub.queue_calls import Answer, Op
from mergepoint.bus.hub.store import Store
from mergepoint.bus.hub.work import Work
from mergepoint.wire.frames import FrameInvalid, cut

Done = TypeVar("Done")
BATCH_MAX = 1_000
"""Calls in one transaction."""
ASK_S_MAX = 5.0
"""How often an extension is asked what is due: the wall clock may have been set."""


class Batches:
    """Stored operations by name, the hub's own and those of extensions."""

    def __init__(
        self,
        store: Store,
        groups: Groups,
        ops: Mapping[str, Op],
        extensions: Mapping[str, Extension],
        *,
        deliver: Deliver,
        log: Log,
    ) -> None:
        self._store = store
        self._groups = groups
        self._ops = dict(ops)
        self._extensions = dict(extensions)
        self._deliver = deliver
        self._log = log
        self._due_s: dict[str, float | None] = dict.fromkeys(extensions, 0.0)
        for prefix, extension in self._extensions.items():
            self._ops[prefix] = Op(self._extended(prefix, extension), grows=True, apart=True)

    def submit(self, call: Call, ended: Callable[[], None] = lambda: None) -> None:
        """Do one operation; `ended` is called when it is done or refused."""
        op = self._op(call.op)
        grows = op.grows and self._grows(call.op)
        inside = Inside(self._store, self._deliver)

        def run() -> Answer:
            inside.again()
            return op.run(inside, call.head, call.rest)

        def then(answer: Answer) -> None:
            inside.committed()
            ended()
            call.ok(answer.value, answer.parts)

        def fail(error: BusError) -> None:
            ended()
            call.fail(error)

        self._groups.submit(Work(run, then, fail, synced=op.synced, grows=grows, apart=op.apart))

    def submit_all(self, call: Call) -> None:
        """Do several operations, all or none."""
        heads = call.head["ops"]
        if not isinstance(heads, list) or len(heads) > BATCH_MAX:
            raise BusRefused(f"ops is a list of at most {BATCH_MAX} calls")
        steps = self._steps(heads, call.rest)
        inside = Inside(self._store, self._deliver)

        def run() -> list[Answer]:
            inside.again()
            return [self._step(at, step, inside) for at, step in enumerate(steps)]

        def then(answers: list[Answer]) -> None:
            inside.committed()
            told = [{"ok": a.value, "n": [len(part) for part in a.parts]} for a in answers]
            call.ok(told, [part for a in answers for part in a.parts])

        grows = any(op.grows and self._grows(str(head["op"])) for op, head, _ in steps)
        self._groups.submit(Work(run, then, call.fail, grows=grows, apart=True))

    def taking(self, then: Head) -> tuple[Callable[[Sequence[Taken]], Answer], Inside]:
        """Return what hands jobs that are taken to an extension, and what it does that in.

        The extension is called with `then`, and in its `leases` the `[id, token]` of each job.
        """
        name = fields.text(then, "op")
        if "." not in name:
            raise BusRefused(f"call take: {name} is no operation of an extension")
        op, inside = self._op(name), Inside(self._store, self._deliver)

        def run(taken: Sequence[Taken]) -> Answer:
            inside.again()
            leases = [[job.held.id, job.held.token] for job in taken]
            return op.run(inside, {**then, "leases": leases}, b"")

        return run, inside

    def tick(self, monotonic_s: float) -> None:
        """Let extensions do what is due."""
        for prefix, extension in self._extensions.items():
            due_s = self._due_s[prefix]
            if due_s is not None and due_s <= monotonic_s:
                self._due_s[prefix] = None
                self._groups.submit(self._ticking(prefix, extension))

    def first_due_s(self) -> float | None:
        """Return the monotonic time at which `tick` has something to do."""
        return min((due for due in self._due_s.values() if due is not None), default=None)

    def _step(self, at: int, step: tuple[Op, Head, bytes], inside: Inside) -> Answer:
        op, head, rest = step
        try:
            return op.run(inside, head, rest)
        except BusError as error:
            raise type(error)(f"call {at} of the batch: {error.message}", next=error.next) from None

    def _steps(self, heads: list[Any], rest: bytes) -> list[tuple[Op, Head, bytes]]:
        lengths = [_rest_bytes(head) for head in heads]
        try:
            rests = cut(rest, lengths)
        except FrameInvalid as error:
            raise BusRefused(f"ops: {error}") from None
        return [
            (self._op(str(head.get("op"))), head, part)
            for head, part in zip(heads, rests, strict=True)
        ]

    def _op(self, name: str) -> Op:
        prefix, dot, _ = name.partition(".")
        op = self._ops.get(prefix) if bool(dot) is (prefix in self._extensions) else None
        if op is None:
            raise BusRefused(f"call {name!r} is unknown to this hub", next="is it an older one?")
        return op

    def _grows(self, name: str) -> bool:
        prefix, _, op = name.partition(".")
        extension = self._extensions.get(prefix)
        return extension is None or extension.grows(op)

    def _extended(self, prefix: str, extension: Extension) -> Callable[..., Answer]:
        def run(inside: Inside, head: Head, rest: bytes) -> Answer:
            ages = self._store.parts.ages
            began_s = ages.monotonic_s()
            try:
                parts = cut(rest, head.get("n", []))
            except (FrameInvalid, TypeError) as error:
                raise BusRefused(f"call {head.get('op')}: {error}") from None
            op = fields.text(head, "op").partition(".")[2]
            reply = self._guarded(prefix, lambda: extension.call(op, head, parts, inside))
            self._ask(prefix, extension, inside)
            if ages.monotonic_s() - began_s > CALL_S_MAX:
                self._log("hub.slow", op=head["op"], seconds=ages.monotonic_s() - began_s)
            return Answer(reply.value, reply.parts)

        return run

    def _guarded(self, prefix: str, step: Callable[[], Done]) -> Done:
        """Run a step of an extension; its own faults refuse the call, they do not end the hub."""
        try:
            return step()
        except BusError:
            raise
        except sqlite3.Error as error:
            if not is_callers(error):
                raise
            told = f"{type(error).__name__}: {error}"
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
        self._log("hub.extension_failed", extension=prefix, error=told)
        raise BusError(f"{prefix} failed: {told}", next="see the hub's log")

    def _ticking(self, prefix: str, extension: Extension) -> Work:
        inside = Inside(self._store, self._deliver)

        def run() -> None:
            inside.again()
            if extension.due_s(inside) == 0:
                self._guarded(prefix, lambda: extension.tick(inside))
            self._ask(prefix, extension, inside)

        def then(_: None) -> None:
            inside.committed()

        def fail(error: BusError) -> None:
            self._due_s[prefix] = self._store.parts.ages.monotonic_s() + 1.0
            self._log("hub.tick_failed", extension=prefix, error=error.message)

        return Work(run, then, fail, apart=True)

    def _ask(self, prefix: str, extension: Extension, inside: Inside) -> None:
        wanted_s = extension.due_s(inside)
        wait_s = ASK_S_MAX if wanted_s is None else min(wanted_s, ASK_S_MAX)
        self._due_s[prefix] = self._store.parts.ages.monotonic_s() + wait_s


def _rest_bytes(head: Any) -> int:  # Any: unchecked
    if not isinstance(head, Mapping):
        raise BusRefused("ops: each call is an object")
    try:
        if "puts" in head:
            return sum(int(one[1]) + int(one[2]) for one in head["puts"])
        return sum(int(length) for length in head.get("n", ()))
    except (TypeError, ValueError, IndexError, KeyError):
        raise BusRefused(f"call {head.get('op')}: lengths are numbers") from None
