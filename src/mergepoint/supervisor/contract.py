"""What the supervisor is told to run, and the two doors it needs: the edge and the snapshot.

Place:  assembly -> [supervisor.contract] -> supervisor
Rule:   no knowledge of manifests, frameworks or the edge's document; only processes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from mergepoint.core.endpoints import Failure, SlotEndpoint

Json = dict[str, Any]


class Role(StrEnum):
    """What processes are for; decides their turn at the start and at the stop."""

    APP = "app"
    TASKS = "tasks"
    GATEWAY = "gateway"
    HUB = "hub"
    """Started before all others, stopped after them."""


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Applied to every process of an app before it runs a line of its own code."""

    memory_bytes_max: int | None = None
    cpu_share: float | None = None
    open_files_max: int | None = None
    child_processes_max: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """How a new process proves that it can serve.

    The request goes to `path` with `headers`; an answer in `statuses` (inclusive range) within
    `timeout_s` of the start is ready. `smoke` paths must then each answer below 400; they are sent
    with `smoke_headers`. The first process of a new release must still answer `settle_s` later.
    """

    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: tuple[int, int] = (100, 599)
    timeout_s: float = 60.0
    smoke: tuple[str, ...] = ()
    smoke_headers: Mapping[str, str] = field(default_factory=dict)
    settle_s: float = 1.0


@dataclass(frozen=True, slots=True)
class AppSpec:
    """The processes of one app, or of a service beside the apps.

    `argv` and `env` values may hold ``{socket}``, ``{port}`` and ``{slot}``, filled in for each
    process; `endpoint` says which of the first two the edge will use. Processes with the endpoint
    ``none`` have no route: they are ready once they write READY to `MERGEPOINT_READY_FD`.
    `digest` changes exactly when running processes are no longer what is wanted.
    """

    name: str
    digest: str
    argv: tuple[str, ...]
    endpoint: Literal["unix", "tcp", "none"]
    env: Mapping[str, str]
    cwd: Path
    processes: int = 1
    processes_min: int = 1
    processes_max: int = 1
    user: str | None = None
    group: str | None = None
    limits: ProcessLimits = ProcessLimits()
    probe: Probe = Probe()
    drain_s: float = 30.0
    kill_s: float = 5.0
    backoff_s: float = 0.5
    backoff_s_max: float = 30.0
    requests_max: int = 0
    requests_jitter: int = 0
    lifetime_s: float = 0.0
    chained: bool = False
    concurrency: int = 4
    watch: tuple[Path, ...] = ()
    """Where its program lies; development restarts the app when something changes there."""
    sources: str = ""
    """A digest of the files in `watch`; a reload rolls what has another one."""
    role: Role = Role.APP
    sockets: tuple[Path, ...] = ()
    """What a service listens on; the next supervisor leaves them where they are."""
    of: str = ""
    """The app whose tasks these processes run; it is rolled together with them."""

    @property
    def is_routed(self) -> bool:
        """Tell whether the edge sends requests to these processes."""
        return self.endpoint != "none"


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """A listening socket, bound once: ``127.0.0.1:8000``, ``[::]:443`` or ``unix:/path``."""

    name: str
    address: str
    backlog: int = 4096


@dataclass(frozen=True, slots=True)
class EdgeSpec:
    """How the edge binary is started; the supervisor adds descriptors and paths by environment."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    digest: str
    drain_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that should be running."""

    site: str
    apps: Mapping[str, AppSpec]
    listeners: tuple[ListenerSpec, ...]
    edge: EdgeSpec
    run_dir: Path
    """Sockets, the process record, the snapshot; short enough for a socket path."""
    log_dir: Path
    memory_bytes_max: int | None = None
    failures: Mapping[str, Failure] = field(default_factory=dict)
    """Apps that cannot be started as the machine is now; they are not in `apps`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What every worker gets besides its own: PATH, HOME, LANG, TZ."""
    own_files: tuple[Path, ...] = ()
    """The manifest and the state directory: no part of the program they lie beside."""


class SnapshotSource(Protocol):
    """Compiles the edge's document; given by assembly."""

    def __call__(
        self,
        endpoints: Mapping[str, Sequence[SlotEndpoint]],
        failures: Mapping[str, Failure],
        generation: int,
        canary_share: Mapping[str, float],
    ) -> Json:
        """Return the whole snapshot for these endpoints; pure."""
        ...

    def due_s(self) -> float | None:
        """Return in how many seconds the same endpoints give another snapshot; None: never."""
        ...


class EdgeDoor(Protocol):
    """The control channel to one running edge process."""

    async def apply(self, snapshot: Json) -> int:
        """Hand over a snapshot; return the generation now in force or raise `EdgeRefused`."""
        ...

    async def await_drained(self, address: str, timeout_s: float) -> int:
        """Wait until the endpoint holds no request; return how many it holds at the deadline."""
        ...

    async def stats(self) -> Json:
        """Return counters and gauges per app and slot."""
        ...

    async def inflight(self) -> list[Json]:
        """Return the requests now being worked on, oldest first."""
        ...

    async def metrics(self) -> str:
        """Return the Prometheus exposition text."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Stop accepting, finish what is open, then exit."""
        ...

    async def listeners(self) -> dict[str, int]:
        """Return duplicated listening descriptors by name, for a supervisor that lost its own."""
        ...

    def events(self) -> AsyncIterator[Json]:
        """Yield what the edge noticed: request_timeout, slot_ejected, ...; ends with the edge."""
        ...

    async def close(self) -> None:
        """Close the channel; the edge goes on."""
        ...


class EdgeConnector(Protocol):
    """Opens the control channel of an edge at its socket; given by assembly."""

    async def __call__(self, socket: Path, timeout_s: float) -> EdgeDoor:
        """Connect, retrying until `timeout_s`; raise `EdgeUnreachable`."""
        ...


class WantedSource(Protocol):
    """Re-reads the manifest; given by assembly."""

    def __call__(self) -> tuple[Wanted, SnapshotSource]:
        """Return what should run now; raise `ManifestRefused` with every error if broken."""
        ...
