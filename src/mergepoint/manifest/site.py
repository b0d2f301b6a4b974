"""A checked site: what the manifest means once every default and path is resolved.

Place:  manifest.check -> [manifest.site] -> assembly, edge.compile, cli
Rule:   frozen data only; every path absolute, every bound set; units last in names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mergepoint.core.endpoints import Failure
from mergepoint.core.problems import Problem
from mergepoint.manifest.access import Access, Identity, Role
from mergepoint.manifest.databases import Followed
from mergepoint.manifest.messages import Bus, CeleryWorkers, Schedule, Subscription, TaskWorkers
from mergepoint.manifest.origin import Origin as Origin


class Mode(StrEnum):
    """Which profile a site runs under; decides reloading, error detail and log format."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Kind(StrEnum):
    """How an app is served."""

    WSGI = "wsgi"
    ASGI = "asgi"
    TOGETHER = "together"
    COMMAND = "command"
    STATIC = "static"
    REDIRECT = "redirect"
    HTTP = "http"

    @property
    def has_processes(self) -> bool:
        """Tell whether the supervisor starts workers for this kind."""
        return self in {Kind.WSGI, Kind.ASGI, Kind.TOGETHER, Kind.COMMAND}

    @property
    def is_python(self) -> bool:
        """Tell whether the host shim runs inside the worker."""
        return self in {Kind.WSGI, Kind.ASGI, Kind.TOGETHER}


class PrefixMode(StrEnum):
    """Who removes the mount from the path; see docs/reference/contracts.md."""

    HOST = "host"
    STRIP = "strip"
    KEEP = "keep"


class BalanceBy(StrEnum):
    """What decides the slot of a request."""

    LEAST = "least"
    PATH = "path"
    HEADER = "header"
    COOKIE = "cookie"
    STICKY = "sticky"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host and a path prefix; ``host`` is ``*`` for any host, ``path`` starts with ``/``."""

    path: str = "/"
    host: str = "*"


@dataclass(frozen=True, slots=True)
class Member:
    """One app of a `together` worker: `target` is ``module:attr`` under `path` below the mount."""

    path: str
    target: str
    interface: Kind
    factory: bool = False


@dataclass(frozen=True, slots=True)
class Balance:
    """How requests choose a slot; `name` is a header or cookie, `segments` path segments hashed."""

    by: BalanceBy = BalanceBy.LEAST
    name: str = ""
    segments: int = 1
    load_factor: float = 1.5
    load_floor: int = 4


@dataclass(frozen=True, slots=True)
class Processes:
    """How many slots: `min == max` is a fixed pool; otherwise scaled by queue length."""

    start: int = 1
    min: int = 1
    max: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Per-process limits; None leaves the system's own."""

    memory_bytes_max: int | None = None
    cpu_share: float | None = None
    """CPUs; 0.5 is half of one; a cgroup where the system lets us, else niceness."""
    open_files_max: int | None = None
    child_processes_max: int | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """Requests that wait at the edge for a free slot."""

    length_max: int = 256
    wait_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; `request_s` runs from the first byte sent to a worker to its response head."""

    connect_s: float = 1.0
    request_s: float = 30.0
    body_idle_s: float = 30.0
    tunnel_idle_s: float = 3600.0
    ready_s: float = 60.0
    drain_s: float = 30.0
    kill_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Restart:
    """Crash back-off and recycling; zero `requests_max` or `lifetime_s` means never."""

    backoff_s: float = 0.5
    backoff_s_max: float = 30.0
    requests_max: int = 0
    requests_jitter: int = 0
    lifetime_s: float = 0.0
    chained: bool = False
    """Stop the old process before the new one starts: for machines short of memory."""


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """A directory served by the edge itself."""

    root: Path
    index: tuple[str, ...] = ("index.html",)
    fallback: str | None = None
    cache_control: str = "public, max-age=60"


@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer that sends the client elsewhere; `keep_path` appends the rest of the path."""

    to: str
    status: int = 308
    keep_path: bool = True


@dataclass(frozen=True, slots=True)
class AppCache:
    """What of an app's answers the edge keeps; times in seconds."""

    mode: str = "auto"
    scope: str = "anonymous"
    hold: str = "strict"
    ttl_s: float = 3600.0
    stale_s: float = 0.0
    fragments: bool = False
    cookies: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    """Servers an app is connected to whose data is on no page."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Room for kept answers, and how changes are followed; times in seconds."""

    bytes_max: int = 256 << 20
    entry_bytes_max: int = 8 << 20
    lease_s: float = 2.0
    poll_s: float = 0.02
    call_s: float = 0.25
    expose: bool = False


@dataclass(frozen=True, slots=True)
class App:
    """One member of the site, resolved."""

    name: str
    kind: Kind
    mounts: tuple[Mount, ...]
    origin: Origin
    directory: Path
    target: str = ""
    """``module:attr`` for wsgi and asgi, ``http://host:port`` for http, empty otherwise."""
    factory: bool = False
    command: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()
    static: StaticFiles | None = None
    redirect: Redirect | None = None
    python: Path | None = None
    """The interpreter of a Python app, always set for wsgi, asgi and together."""
    server: str = "granian"
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    group: str | None = None
    processes: Processes = Processes()
    threads: int = 4
    concurrency: int = 4
    """Requests one slot works on at a time; more wait in the edge's queue."""
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    queue: Queue = Queue()
    body_bytes_max: int | None = 1 << 30
    balance: Balance = Balance()
    restart: Restart = Restart()
    prefix: PrefixMode = PrefixMode.HOST
    ready: str | None = None
    """Path below the mount that must answer 2xx or 3xx; None asks the shim, or takes any answer."""
    smoke: tuple[str, ...] = ()
    """Paths a new release must answer below 400 before it takes traffic."""
    health_interval_s: float = 2.0
    compress: bool = True
    watch: tuple[Path, ...] = ()
    """What development mode watches; empty for kinds without processes."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Where each written key stands, for `explain` and `config show --origin`."""
    access: Access | None = None
    """Who may use it; None while the site has no identity."""
    builtin: bool = False
    """Part of Mergepoint: its table is not in the manifest."""
    tasks: TaskWorkers | None = None
    """None while it declares no tasks."""
    celery: CeleryWorkers | None = None
    cache: AppCache | None = None
    """None: nothing is kept."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files of one certificate; the edge reads its names and reloads it when it changes."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Listener:
    """An address the supervisor binds: ``127.0.0.1:8000``, ``[::]:443`` or ``unix:/path``."""

    name: str
    address: str
    tls: bool = False
    proxy_protocol: bool = False
    admin: bool = False
    """Serves /livez, /readyz and /metrics and nothing of the site."""
    https_port: int | None = None
    """Visitors over plain HTTP are sent to https:// on this port."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """Bounds of the front door, for every client alike."""

    header_bytes_max: int = 65536
    headers_max: int = 100
    target_bytes_max: int = 8192
    header_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    body_idle_timeout_s: float = 30.0
    connections_max: int = 20000
    h2_streams_max: int = 100
    drain_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """One big application made of small ones: the whole manifest, checked."""

    name: str
    mode: Mode
    file: Path
    directory: Path
    state_dir: Path
    listeners: tuple[Listener, ...]
    apps: Mapping[str, App]
    certificates: tuple[Certificate, ...] = ()
    hsts_s: int = 0
    """How long browsers are told to come by https:// alone; 0: not at all."""
    trusted_proxies: tuple[str, ...] = ()
    access_log: str = "json"
    """``json``, ``combined`` or ``off``."""
    compression: bool = True
    edge_threads: int = 1
    edge_limits: EdgeLimits = EdgeLimits()
    memory_bytes_max: int | None = None
    """One budget over all workers; scaling up stops here."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    profile: str = "development"
    """The profile that was asked for; `mode` follows from it."""
    run_dir: Path = Path()
    """Sockets and the process record; short enough for a socket path. Not created here."""
    failures: Mapping[str, Failure] = field(default_factory=dict)
    """Apps that cannot start as the machine is now (no venv, no directory): do not start these."""
    identity: Identity | None = None
    """None where the manifest has no [identity]."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """By name; `admin` is always among them when there is an identity."""
    bus: Bus | None = None
    """None where the manifest has no [bus], tasks, subscriptions, schedules or databases: no hub
    runs."""
    subscriptions: tuple[Subscription, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    databases: tuple[Followed, ...] = ()
    """Whose changes the hub follows."""
    cache: Cache | None = None
    """None where no app has one."""
    problems: tuple[Problem, ...] = ()
    """Warnings, and the problems behind `failures`; never an error."""
