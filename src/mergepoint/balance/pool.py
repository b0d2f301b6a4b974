"""Child processes for CPU work, and a bounded line of calls waiting for one of them.

Place:  balance.offload, balance.spread -> [balance.pool] -> balance.slot
Rule:   one thread per child carries calls to it; a call has exactly one outcome.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from mergepoint.balance.errors import NotOffloadable, PoolClosed, PoolFull
from mergepoint.balance.slot import Slot, Wear, call_bytes

WAITING_MAX = 1_000
TIMEOUT_S = 300.0
CLOSING_STEP_S = 0.05


class Call:
    """One call on its way: what to run, how long, and the future that its outcome goes to."""

    def __init__(self, call: bytes, *, needs_main: bool, timeout_s: float) -> None:
        self.bytes = call
        self.needs_main = needs_main
        self.timeout_s = timeout_s
        self.future: Future[Any] = Future()
        self.abandoned = False
        self._slot: Slot | None = None
        self._lock = threading.Lock()

    def abandon(self) -> None:
        """Say that nobody wants the outcome: it is not begun, or its child is killed."""
        self.abandoned = True
        if self.future.cancel():
            return
        with self._lock:  # else the child may have the next call by now
            if self._slot is not None:
                self._slot.kill()

    def run(self, slot: Slot) -> Any:
        """Return the value; raise the error. The slot is this call's own until then."""
        with self._lock:
            self._slot = slot
        try:
            return slot.run(self.bytes, needs_main=self.needs_main, timeout_s=self.timeout_s)
        finally:
            with self._lock:
                self._slot = None


class Pool:
    """`processes` children, started when they are first needed.

    At most `waiting_max` calls wait. A call takes at most `timeout_s` unless it says otherwise.
    A child is replaced after `calls_max` calls, or when its peak passes `memory_bytes_max`.
    """

    def __init__(
        self,
        processes: int = 0,
        *,
        waiting_max: int = WAITING_MAX,
        timeout_s: float = TIMEOUT_S,
        calls_max: int = Wear.calls_max,
        memory_bytes_max: int = 0,
    ) -> None:
        self.processes = processes or os.cpu_count() or 1
        self.timeout_s = timeout_s
        self._wear = Wear(calls_max, memory_bytes_max)
        self._waiting: queue.Queue[Call | None] = queue.Queue(waiting_max + self.processes)
        self._waiting_max = waiting_max
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._slots: list[Slot] = []
        self._idle = 0
        self._closed = False
        self._owner = os.getpid()

    def submit(
        self,
        function: Callable[..., Any],
        values: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Call:
        """Begin a call, or let it wait for a child; `call.future` has its outcome.

        Raises `NotOffloadable`, `PoolFull`, `PoolClosed`.
        """
        module, name = names_of(function)
        try:
            encoded = call_bytes(module, name, tuple(values), dict(named or {}))
        except Exception as error:
            raise NotOffloadable(f"an argument of {name} cannot be pickled: {error}") from error
        limit_s = self.timeout_s if timeout_s is None else timeout_s
        call = Call(encoded, needs_main=module == "__main__", timeout_s=limit_s)
        self._enter(call)
        return call

    def close(self) -> None:
        """Kill what runs, refuse what waits; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            slots, threads = list(self._slots), list(self._threads)
        self._refuse_waiting()
        for _ in threads:
            self._waiting.put(None)
        for slot, thread in zip(slots, threads, strict=True):
            while thread.is_alive():
                slot.kill()  # again and again: it may have been about to start its child
                thread.join(CLOSING_STEP_S)

    def __enter__(self) -> Pool:
        """Return the pool itself."""
        return self

    def __exit__(self, *reason: object) -> None:
        """Close it."""
        self.close()

    def _enter(self, call: Call) -> None:
        with self._lock:
            if self._closed:
                raise PoolClosed("the pool is closed")
            if self._owner != os.getpid():
                self._begin_again()  # after a fork: threads and children stayed with the parent
            if self._waiting.qsize() >= self._waiting_max + self._idle:
                raise PoolFull(
                    f"{self._waiting.qsize()} calls wait; the most is set by waiting_max"
                )
            self._waiting.put_nowait(call)
            if self._idle < self._waiting.qsize() and len(self._threads) < self.processes:
                self._add_thread()

    def _begin_again(self) -> None:
        self._owner = os.getpid()
        self._waiting = queue.Queue(self._waiting_max + self.processes)
        self._threads, self._slots, self._idle = [], [], 0

    def _add_thread(self) -> None:
        slot = Slot(self._wear)
        thread = threading.Thread(
            target=self._carry, args=(slot,), name=f"balance-{len(self._threads)}", daemon=True
        )
        self._slots.append(slot)
        self._threads.append(thread)
        thread.start()

    def _carry(self, slot: Slot) -> None:
        """Carry calls to one child until told to end."""
        while True:
            with self._lock:
                self._idle += 1
            call = self._waiting.get()
            with self._lock:
                self._idle -= 1
            if call is None:
                slot.stop()
                return
            self._carry_one(slot, call)

    def _carry_one(self, slot: Slot, call: Call) -> None:
        if not call.future.set_running_or_notify_cancel():
            return
        try:
            value = call.run(slot)
        except BaseException as error:
            closed = self._closed and not call.abandoned
            told = PoolClosed("the pool was closed during the call") if closed else error
            call.future.set_exception(told)
        else:
            call.future.set_result(value)

    def _refuse_waiting(self) -> None:
        while True:
            try:
                call = self._waiting.get_nowait()
            except queue.Empty:
                return
            if call is not None and call.future.set_running_or_notify_cancel():
                call.future.set_exception(PoolClosed("the pool was closed before the call began"))


def names_of(function: Callable[..., Any]) -> tuple[str, str]:
    """Return module and qualified name; `NotOffloadable` for what another process cannot find."""
    function = getattr(function, "offloaded_function", function)
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if not module or not name:
        raise NotOffloadable(f"{function!r} has no name; give a function of a module")
    if "<" in name:
        raise NotOffloadable(
            f"{name} stands inside a function, where no other process finds it; "
            "move it to the top of its module"
        )
    return module, name
