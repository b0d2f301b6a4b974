"""The relay: the one place of a bus over ZeroMQ where everybody meets, a thread of some process.

Place:  bus.adapters.zeromq_link -> [zeromq_relay] -> libzmq
Rule:   whoever can bind its address is the relay; when that process ends, another one binds.

It hands out what is published, by XPUB, and numbers the messages of each topic, so that a listener
knows what was dropped on the way. It knows who serves which address, so that a request gets
one answer: from a server, or from here, that nobody serves, has room, or is there any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import zmq

from mergepoint.bus.adapters import zeromq_wire as wire
from mergepoint.bus.contract import Limits
from mergepoint.wire.names import matches

SILENCE_HEARTBEATS = 2.5
WAITING_MESSAGES_MIN = 1_000
"""What is held for one slow listener at least; then its messages are dropped, and counted there."""
COUNTED_MAX = 10_000
"""Topics that numbers are kept of; then the one not used for longest is forgotten."""
TALLIES = 8
"""How often a topic's last number is told again, for who lost the last messages of a flood."""
Frames = list[bytes]


@dataclass
class Server:
    """One address, served by one connection."""

    identity: bytes
    address: str
    requests_max: int
    asked: dict[tuple[bytes, bytes], None] = field(default_factory=dict)
    """Who asked, and the number of the request there."""


class Counts:
    """How many messages each topic had; the number of the last one is told again for a while."""

    def __init__(self) -> None:
        self._epoch = uuid.uuid4().bytes
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._told: dict[str, int] = {}

    def stamp(self, frames: Frames) -> Frames:
        """Return what is published, with its number behind its topic."""
        topic = wire.topic_of(frames[0])
        number = self._numbers.get(topic, 0) + 1
        self._numbers[topic] = number
        self._numbers.move_to_end(topic)
        self._told[topic] = TALLIES
        if len(self._numbers) > COUNTED_MAX:
            self._told.pop(self._numbers.popitem(last=False)[0], None)
        return [frames[0], self._epoch, number.to_bytes(8), *frames[1:]]

    def tallies(self) -> list[Frames]:
        """Return the last numbers of topics that were published to a moment ago."""
        told = list(self._told.items())
        self._told = {topic: left - 1 for topic, left in told if left > 1}
        return [
            [wire.topic_frame(topic), self._epoch, self._numbers[topic].to_bytes(8)]
            for topic, _ in told
        ]

    def known(self, pattern: str) -> Frames:
        """Return the epoch and the last number of every topic of a pattern."""
        found = {name: at for name, at in self._numbers.items() if matches(pattern, name)}
        return [self._epoch, json.dumps(found).encode()]


class Desk:
    """Who serves what, and which requests are on their way; frames in, frames out."""

    def __init__(self, silence_s_max: float) -> None:
        self._silence_s_max = silence_s_max
        self._heard: dict[bytes, float] = {}
        self._servers: list[Server] = []
        self.counts = Counts()

    def handle(self, identity: bytes, frames: Frames, now: float) -> list[Frames]:
        """Return what to send, each to the identity in front."""
        self._heard[identity] = now
        kind, rest = frames[0], frames[1:]
        if kind == wire.PING:
            return [[identity, wire.PONG]]
        if kind == wire.COUNTS and len(rest) == 2:
            known = self.counts.known(rest[1].decode())
            return [[identity, wire.ANSWER, rest[0], wire.OK, *known]]
        if kind == wire.SERVE and len(rest) == 3:
            self._servers.append(Server(identity, rest[1].decode(), int(rest[2])))
            return [[identity, wire.ANSWER, rest[0], wire.OK]]
        if kind == wire.UNSERVE and len(rest) == 2:
            kept = [one for one in self._servers if _is_other(one, identity, rest[1].decode())]
            self._servers = kept
            return [[identity, wire.ANSWER, rest[0], wire.OK]]
        if kind == wire.ASK and len(rest) == 4:
            return self._ask(identity, rest)
        if kind == wire.DONE and len(rest) == 5:
            return self._done(identity, rest)
        if kind == wire.BYE:
            return self._gone(identity)
        return []

    def sweep(self, now: float) -> list[Frames]:
        """Take out who was silent too long; tell those who wait for them."""
        silent = [one for one, at in self._heard.items() if at + self._silence_s_max <= now]
        return [frames for identity in silent for frames in self._gone(identity)]

    def _ask(self, asker: bytes, rest: Frames) -> list[Frames]:
        number, address = rest[0], rest[1].decode()
        serving = [one for one in self._servers if _serves(one.address, address)]
        if not serving:
            return [[asker, wire.ANSWER, number, wire.NOBODY]]
        server = min(serving, key=lambda one: len(one.asked))
        if len(server.asked) >= server.requests_max:
            return [[asker, wire.ANSWER, number, wire.BUSY]]
        server.asked[asker, number] = None
        # The longest idle one comes first next time.
        self._servers.remove(server)
        self._servers.append(server)
        return [[server.identity, wire.DO, asker, number, server.address.encode(), *rest[2:]]]

    def _done(self, identity: bytes, rest: Frames) -> list[Frames]:
        asker, number = rest[0], rest[1]
        for server in self._servers:
            if server.identity == identity:
                server.asked.pop((asker, number), None)
        return [[asker, wire.ANSWER, number, *rest[2:]]]

    def _gone(self, identity: bytes) -> list[Frames]:
        self._heard.pop(identity, None)
        left = [one for one in self._servers if one.identity == identity]
        self._servers = [one for one in self._servers if one.identity != identity]
        return [
            [asker, wire.ANSWER, number, wire.GONE]
            for server in left
            for asker, number in server.asked
        ]


def _serves(served: str, asked: str) -> bool:
    return served == asked or ("/" not in asked and served.startswith(asked + "/"))


def _is_other(server: Server, identity: bytes, address: str) -> bool:
    return server.identity != identity or server.address != address


class Relay:
    """The thread, if this process is the one that bound."""

    def __init__(self, endpoints: wire.Endpoints, limits: Limits) -> None:
        self._endpoints = endpoints
        self._beat_s = limits.heartbeat_s
        self._waiting_max = max(WAITING_MESSAGES_MIN, limits.buffer_messages_max)
        self._desk = Desk(SILENCE_HEARTBEATS * limits.heartbeat_s)
        self._context: zmq.Context[Any] = zmq.Context()
        self._thread: threading.Thread | None = None
        self._lock: int | None = None
        self._stopping = threading.Event()

    @property
    def running(self) -> bool:
        """Whether everybody meets here."""
        return self._thread is not None

    def start(self) -> bool:
        """Be the relay, unless another one is; tell whether it was possible."""
        if self.running:
            return True
        if not self._lock_directory():
            return False
        ask, feed = self._context.socket(zmq.ROUTER), self._context.socket(zmq.XPUB)
        for socket in (ask, feed):
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.SNDHWM, self._waiting_max)
            socket.set(zmq.HEARTBEAT_IVL, int(self._beat_s * 1000))
            socket.set(zmq.HEARTBEAT_TIMEOUT, int(2 * self._beat_s * 1000))
        try:
            ask.bind(self._endpoints.ask)
            feed.bind(self._endpoints.feed)
        except zmq.ZMQError:
            ask.close()
            feed.close()
            self._unlock()
            return False
        self._stopping.clear()
        name = "mergepoint-zeromq-relay"
        self._thread = threading.Thread(target=self._run, args=(ask, feed), name=name, daemon=True)
        self._thread.start()
        return True

    def stop(self) -> None:
        """Be it no more; a second call does nothing."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            thread.join()
        self._unlock()

    def _run(self, ask: zmq.Socket[Any], feed: zmq.Socket[Any]) -> None:
        poller = zmq.Poller()
        poller.register(ask, zmq.POLLIN)
        poller.register(feed, zmq.POLLIN)
        wait_ms = max(1, int(min(self._beat_s / 4, 0.05) * 1000))
        swept_at = time.monotonic()
        while not self._stopping.is_set():
            ready = dict(poller.poll(wait_ms))
            if feed in ready:
                feed.recv_multipart()  # who wants what is libzmq's to remember
            if ask in ready:
                self._serve(ask, feed)
            if time.monotonic() - swept_at > self._beat_s / 2:
                swept_at = time.monotonic()
                _send(ask, self._desk.sweep(swept_at))
                for tally in self._desk.counts.tallies():
                    feed.send_multipart(tally)
        ask.close()
        feed.close()

    def _serve(self, ask: zmq.Socket[Any], feed: zmq.Socket[Any]) -> None:
        """Take everything that waits, so that a flood costs one poll for many."""
        with contextlib.suppress(zmq.Again):
            for _ in range(self._waiting_max):
                identity, *frames = ask.recv_multipart(zmq.NOBLOCK)
                if frames[:1] == [wire.PUBLISH] and len(frames) > 1:
                    told = frames[1:]
                    is_topic = told[0].startswith(wire.TOPIC)
                    feed.send_multipart(self._desk.counts.stamp(told) if is_topic else told)
                elif frames:
                    now = time.monotonic()
                    with contextlib.suppress(ValueError):  # frames that no adapter of ours sends
                        _send(ask, self._desk.handle(identity, frames, now))

    def _lock_directory(self) -> bool:
        """Binding a path takes it from who has it, so a lock decides who may."""
        directory = self._endpoints.directory
        if directory is None:
            return True
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _send(ask: zmq.Socket[Any], batch: list[Frames]) -> None:
    for frames in batch:
        with contextlib.suppress(zmq.ZMQError):
            ask.send_multipart(frames, zmq.NOBLOCK)
