"""The hub: who is connected, what they ask, and what becomes due.

Place:  bus.hub.serving -> [bus.hub.hub] -> everything beside it
Rule:   hands on and plans; each kind of call is understood elsewhere, by table.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from mergepoint.bus.errors import BusError
from mergepoint.bus.hub import fields, queue_calls, topic_calls
from mergepoint.bus.hub.ballast import Ballast
from mergepoint.bus.hub.batches import Batches
from mergepoint.bus.hub.call import Call
from mergepoint.bus.hub.connection import READ_BYTES, Connection
from mergepoint.bus.hub.crash import crash_points
from mergepoint.bus.hub.due import Due
from mergepoint.bus.hub.extension import Extension
from mergepoint.bus.hub.groups import Groups
from mergepoint.bus.hub.holding import Taken, give_back
from mergepoint.bus.hub.log import Log
from mergepoint.bus.hub.peer_calls import Peers
from mergepoint.bus.hub.rules import WORKER_GONE
from mergepoint.bus.hub.sessions import Session, Sessions
from mergepoint.bus.hub.settings import HubSettings
from mergepoint.bus.hub.store import Store
from mergepoint.bus.hub.topics import Topics
from mergepoint.bus.hub.upkeep import Upkeep
from mergepoint.bus.hub.work import AckWork, PutWork, TakeWork, Work
from mergepoint.core.clock import Clock
from mergepoint.wire.frames import FRAME_BYTES_MAX, Frame
from mergepoint.wire.names import check_pattern

PROTOCOL = 1
NOTHING = (None, None)
HELLO_S = 10.0
"""How long a connection may take to say who it is."""
SILENT_LOCAL_S = 30.0
"""A local client that is silent for so long is gone or stopped; TCP: two heartbeats and a bit."""


class Hub:
    """One hub, serving; made inside a running loop."""

    def __init__(
        self,
        settings: HubSettings,
        store: Store,
        clock: Clock,
        *,
        extensions: Mapping[str, Extension],
        token: str,
        log: Log,
        broken: Callable[[BaseException], None],
    ) -> None:
        limits = settings.limits
        self.settings = settings
        self.connections: set[Connection] = set()
        self.refused = 0
        self._room = memoryview(bytearray(READ_BYTES))
        self._store = store
        self._clock = clock
        self._token = token
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._sessions = Sessions()
        self._unflushed: dict[Connection, None] = {}
        self._topics = Topics(
            buffer_messages_max=limits.buffer_messages_max,
            buffer_bytes_max=limits.buffer_bytes_max,
            topics_max=settings.topics_max,
        )
        self._peers = Peers(limits.requests_max, limits.message_bytes_max, clock)
        ballast = Ballast(settings.state_dir, settings.ballast_bytes)
        crash = crash_points(settings.crash_at)
        self.groups = Groups(
            store, ballast, crash=crash, log=log, flush=self._flush_and_plan, broken=broken
        )
        stored = {**queue_calls.ops(store.parts), **topic_calls.ops(store, self._topics)}
        self._batches = Batches(
            store, self.groups, stored, extensions, deliver=self._deliver, log=log
        )
        self._due = Due(store, self.groups, self._batches, self._peers)
        upkeep = Upkeep(store, self.groups, extensions, self._live)
        self._extensions = sorted(extensions)
        self._ops: dict[str, Callable[[Call], None]] = {
            "put": self._put,
            "ack": self._ack,
            "take": self._take,
            "extend": lambda call: queue_calls.extend(store.parts, call),
            "resume": self._resume,
            "bye": self._bye,
            "publish": self._publish,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            **self._peers.ops(),
            **upkeep.ops(),
        }
        self._beating = self._loop.call_later(limits.heartbeat_s, self._beat)
        self._due.plan()

    def connection(self, *, remote: bool) -> Connection:
        """Return what serves one more socket."""
        frame_bytes_max = max(FRAME_BYTES_MAX, self.settings.limits.message_bytes_max + 2**20)
        return Connection(
            self,
            frame_bytes_max=frame_bytes_max,
            outgoing_bytes_max=self.settings.outgoing_bytes_max,
            remote=remote,
            room=self._room,
        )

    async def stop(self) -> None:
        """Finish what was accepted, answer it, and let everybody go."""
        self._beating.cancel()
        self._due.stop()
        await self.groups.idle()
        for connection in tuple(self.connections):
            connection.close()

    def opened(self, connection: Connection) -> None:
        """Take a connection, or refuse it when there are too many."""
        self.connections.add(connection)
        if len(self.connections) > self.settings.connections_max:
            self.refused += 1
            most = self.settings.connections_max
            connection.refuse("bus.refused", f"{most} connections are there, the most allowed")

    def closed(self, connection: Connection) -> None:
        """Give back what a connection held, and tell who knew it."""
        self.connections.discard(connection)
        self._unflushed.pop(connection, None)
        self._leave(connection)
        session = connection.session
        if session is not None:
            self._loop.call_later(self.settings.gone_s, self._gone, session, connection)

    def _gone(self, session: Session, connection: Connection) -> None:
        if session.connection is connection:
            self._sessions.end(session)
            self.groups.submit(self._release(session, burn=True, reason=WORKER_GONE))

    def wants_flush(self, connection: Connection) -> None:
        """Write what waits before the loop sleeps."""
        if not self._unflushed and not self.groups.answering:
            self._loop.call_soon(self._flush)
        self._unflushed[connection] = None

    def came(self, connection: Connection, frame: Frame) -> None:
        """Do what a frame asks for."""
        head = frame.head
        if connection.session is None:
            self._hello(connection, head)
            return
        number = head.get("i")
        if isinstance(number, int):
            self._call(connection, number, frame)
        elif "answer" in head:
            self._peers.answer(connection, frame)
        elif head.get("op") == "cancel":
            self._cancel(connection.session, head.get("call"))

    def _call(self, connection: Connection, number: int, frame: Frame) -> None:
        op = str(frame.head.get("op", "ops" if "ops" in frame.head else ""))
        call = Call(connection, number, op, frame.head, frame.rest, self.settings.calls_max)
        try:
            handler = self._ops.get(op)
            if handler is not None:
                handler(call)
            elif op == "ops":
                self._batches.submit_all(call)
            else:
                self._batches.submit(call)
        except BusError as error:
            call.fail(error)
        connection.press(self.settings.calls_max)

    def _hello(self, connection: Connection, head: Mapping[str, Any]) -> None:
        wanted = head.get("hello")
        if type(wanted) is not int or wanted < 1:
            connection.refuse("bus.refused", "the first frame is a hello", "is it a hub's client?")
            return
        site, settings = head.get("site") or "", self.settings
        if settings.site and site and site != settings.site:
            connection.refuse("bus.refused", f"this is the hub of {settings.site}, not of {site}")
            return
        given = str(head.get("token") or "").encode()
        if connection.remote and not hmac.compare_digest(given, self._token.encode()):
            self.refused += 1
            self._log("hub.wrong_token", address=str(head.get("address") or ""))
            connection.refuse("bus.refused", "the token is wrong", "see [bus] token_file")
            return
        client, address = str(head.get("client") or ""), str(head.get("address") or "")
        old = self._sessions.connection_of(client)
        session, again = self._sessions.begin(connection, client, address)
        if again and old is not None:
            # It came back before the old connection was seen to be dead; its jobs stay its own.
            self._leave(old, session)
            old.abort()
        connection.send(self._greeting())

    def _greeting(self) -> dict[str, Any]:
        limits = self.settings.limits
        names = ("message_bytes_max", "heartbeat_s", "dedupe_s", "attempts_max", "lease_s")
        return {
            "hello": PROTOCOL,
            "server": "mergepoint",
            "site": self.settings.site,
            "durability": self.settings.durability,
            "extensions": self._extensions,
            "limits": {name: getattr(limits, name) for name in names},
        }

    def _put(self, call: Call) -> None:
        queue = fields.named(call.head, "queue")
        entries = queue_calls.entries(call.head, call.rest, self.settings.limits.message_bytes_max)

        def then(duplicates: list[bool]) -> None:
            call.ok(queue_calls.duplicates_told(duplicates) if any(duplicates) else [])

        self.groups.submit(PutWork(queue, entries, then, call.fail))

    def _ack(self, call: Call) -> None:
        self.groups.submit(AckWork(fields.texts(call.head, "tokens"), call.ok, call.fail))

    def _take(self, call: Call) -> None:
        session: Session = call.connection.session
        wait_s = fields.number(call.head, "wait_s", 0.0, queue_calls.WAIT_S_MAX)
        timer: asyncio.TimerHandle | None = None
        also, inside = self._batches.taking(call.head["then"]) if "then" in call.head else NOTHING

        def then(taken: list[Taken]) -> None:
            if timer is not None:
                timer.cancel()
            session.takers.pop(call.number, None)
            value, parts = queue_calls.jobs(taken, self._store.parts.unix_s)
            if inside is not None and work.made is not None:
                inside.committed()
                value["then"] = work.made.value
            call.ok(value, parts)

        work = TakeWork(
            queues=list(dict.fromkeys(fields.texts(call.head, "queues"))),
            limit=max(1, fields.whole(call.head, "limit", 1, queue_calls.TAKE_MAX)),
            worker=fields.text(call.head, "worker", "")[:400],
            session=session,
            lease_s=fields.number(call.head, "lease_s", None, queue_calls.LEASE_S_MAX),
            waits=wait_s > 0,
            then=then,
            fail=call.fail,
            also=also,
        )
        if work.waits:
            session.takers[call.number] = work
            timer = self._loop.call_later(wait_s, self._give_up, work)
        self.groups.submit(work)

    def _give_up(self, work: TakeWork) -> None:
        if not work.over:
            work.over = True
            self.groups.takers.remove(work)
            work.then([])

    def _cancel(self, session: Session, number: object) -> None:
        work = session.takers.get(number) if isinstance(number, int) else None
        if work is not None:
            self._give_up(work)

    def _resume(self, call: Call) -> None:
        session, head, parts = call.connection.session, call.head, self._store.parts
        self.groups.submit(
            Work(
                lambda: queue_calls.resume(parts, session, head),
                lambda answer: call.ok(answer.value),
                call.fail,
                synced=False,
            )
        )

    def _bye(self, call: Call) -> None:
        work = self._release(call.connection.session, burn=False, reason="")
        work.then = lambda _: call.ok()
        work.fail = call.fail
        self.groups.submit(work)

    def _release(self, session: Session, *, burn: bool, reason: str) -> Work:
        parts = self._store.parts

        def run() -> None:
            for held in parts.leases.of(session):
                give_back(parts, held, delay_s=0.0, reason=reason, burn=burn)

        def failed(error: BusError) -> None:
            # They end with their leases.
            self._log("hub.release_failed", error=error.message)

        return Work(run, lambda _: None, failed, synced=False)

    def _publish(self, call: Call) -> None:
        fed = self._store.present.fed_by(fields.named(call.head, "topic"))
        if fed or call.head.get("keep") is True or self._due.publishing:
            self._due.publishing += 1
            self._batches.submit(call, self._due.published)
            return
        self._deliver(*topic_calls.published(self._store, call.head, call.rest))
        call.ok()

    def _deliver(self, topic: str, attributes: bytes, data: bytes) -> None:
        for connection in self._topics.publish(topic, attributes, data):
            self.wants_flush(connection)

    def _subscribe(self, call: Call) -> None:
        if call.head.get("last") is not True:
            topic_calls.subscribe(self._topics, call, self.settings.subscriptions_max)
            return
        pattern = fields.named(call.head, "pattern", check_pattern)

        def then(values: list[tuple[bytes, bytes]]) -> None:
            # What the group published before was read; what it publishes later is heard.
            try:
                topic_calls.subscribe(self._topics, call, self.settings.subscriptions_max, values)
            except BusError as error:
                call.fail(error)

        present = self._store.present
        self.groups.submit(Work(lambda: present.matching(pattern), then, call.fail, synced=False))

    def _unsubscribe(self, call: Call) -> None:
        self._topics.unsubscribe(call.connection, fields.whole(call.head, "sub", None, 2**31))
        call.ok()

    def _leave(self, connection: Connection, session: Session | None = None) -> None:
        self._topics.gone(connection)
        self._peers.gone(connection)
        session = session or connection.session
        for work in list(session.takers.values()) if session is not None else ():
            self._give_up(work)

    def _beat(self) -> None:
        limits = self.settings.limits
        self._beating = self._loop.call_later(limits.heartbeat_s, self._beat)
        now_s = self._loop.time()
        remote_s = 2 * limits.heartbeat_s + 1.0
        for connection in tuple(self.connections):
            silent_s = now_s - connection.heard_s
            allowed_s = remote_s if connection.remote else max(SILENT_LOCAL_S, remote_s)
            if connection.session is None:
                allowed_s = HELLO_S
            if silent_s > allowed_s:
                connection.abort()
            else:
                connection.beat(now_s, self.settings.stalled_s)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, {}
        for connection in unflushed:
            connection.flush()

    def _flush_and_plan(self) -> None:
        self._flush()
        self._due.plan()

    def _live(self) -> dict[str, Any]:
        return {
            "connections": len(self.connections),
            "refused": self.refused,
            "subscriptions": self._topics.count(),
            "present": self._peers.presence.count(),
            "served": self._peers.requests.servers(),
            "restored": self._store.restored,
        }
