"""What a site says about its bus: the engine, task workers, subscriptions and schedules, resolved.

Place:  manifest.resolve_bus -> [manifest.messages] -> manifest.site, assembly, cli
Rule:   frozen data only; an engine's URL is never in a repr, it may hold a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mergepoint.manifest.origin import Origin

HUB = "hub"
"""How the manifest names the engine that is part of Mergepoint."""
REMOTE_HUB = "hub+tls"
"""The scheme of a hub that another machine's site runs."""


@dataclass(frozen=True, slots=True)
class EngineUrl:
    """Which engine carries the messages; `value` has the secrets in it, `written` only names."""

    value: str = field(repr=False, default=HUB)
    written: str = HUB
    missing: tuple[str, ...] = ()
    """Variables the manifest names and the environment lacks."""

    @property
    def scheme(self) -> str:
        """The part before ``://``; ``hub`` for the engine that is part of Mergepoint."""
        return self.value.partition(":")[0]

    @property
    def is_own_hub(self) -> bool:
        """Tell whether this site's own hub carries the messages."""
        return self.value == HUB

    @property
    def is_remote_hub(self) -> bool:
        """Tell whether the hub of another machine's site carries and keeps everything."""
        return self.scheme == REMOTE_HUB


@dataclass(frozen=True, slots=True)
class Bus:
    """The engine of a site and its bounds."""

    url: EngineUrl = EngineUrl()
    serializer: str = "json"
    durable: bool = True
    """With an fsync for each group of messages; else only what survives kill -9."""
    message_bytes_max: int = 1 << 20
    dedupe_s: float = 3600.0
    retention_s: float = 14 * 86400.0
    """How long dead letters are kept."""
    attempts_max: int = 5
    lease_s: float = 15.0
    call_s: float = 5.0
    heartbeat_s: float = 2.0
    queue_messages_max: int = 1_000_000
    listen: str = ""
    """``host:port`` for other machines; empty: this machine alone."""
    certificate: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    http: bool = True
    """Whether programs in any language may publish over HTTP."""
    outboxes: tuple[EngineUrl, ...] = ()
    """Databases whose table `mergepoint_outbox` is relayed; files by their absolute path."""
    origin: Origin = field(default_factory=lambda: Origin("", 0))
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each written key below [bus] stands."""


@dataclass(frozen=True, slots=True)
class TaskWorkers:
    """The processes that run an app's tasks."""

    module: str
    """Imported in the app's environment; its import declares the tasks."""
    processes: int = 1
    threads: int = 4
    queues: tuple[str, ...] = ()
    """Which queues they work on; empty: those of the tasks the module declares."""
    threads_auto: bool = False
    """Whether `threads` is the most, and a worker finds out how many it needs."""


@dataclass(frozen=True, slots=True)
class CeleryWorkers:
    """A Celery application whose workers run beside the app."""

    target: str
    """``module:attribute`` of the application."""
    processes: int = 1
    concurrency: int = 2
    """Tasks one worker runs at a time."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Every message of `on` is posted to an app, until it is taken or `attempts_max` is reached."""

    queue: str
    """Where they wait; its name follows from what the manifest says."""
    on: str
    app: str
    post: str
    """Path below the app's mount."""
    attempts_max: int
    timeout_s: float
    backoff_s: float
    backoff_s_max: float
    concurrency: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class Schedule:
    """A task that is started by the clock."""

    task: str
    app: str
    """The app that declares it; empty when nobody can know."""
    cron: str
    timezone: str
    missed: str
    """``skip``, ``one`` or ``all``: what happens to times at which the site did not run."""
    origin: Origin
