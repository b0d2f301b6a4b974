"""The shape of the edge's document, field by field as in docs/reference/contracts.md 1 and 5.

Place:  edge.compile -> [edge.snapshot] -> edge/crates/core/src/snapshot.rs
Rule:   types only; a change here changes the Rust side and the golden files in the same commit.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

SCHEMA = 1


class ListenerDoc(TypedDict):
    """How connections of one listener are read."""

    tls: bool
    proxy_protocol: bool
    admin: bool
    https_port: int | None


class CertificateDoc(TypedDict):
    """PEM files."""

    cert: str
    key: str


class LimitsDoc(TypedDict):
    """Bounds of the front door."""

    header_bytes_max: int
    headers_max: int
    target_bytes_max: int
    header_timeout_s: float
    idle_timeout_s: float
    body_idle_timeout_s: float
    connections_max: int
    h2_streams_max: int
    drain_s: float


class CompressionDoc(TypedDict):
    """Compression of answers the apps left plain."""

    enabled: bool
    bytes_min: int


class RouteDoc(TypedDict):
    """A path prefix and the app that answers under it."""

    prefix: str
    app: str
    origin: str


class HostDoc(TypedDict):
    """A host, ``*.example.org`` or ``*``, and its routes."""

    name: str
    routes: list[RouteDoc]


class SlotDoc(TypedDict):
    """One address of one slot."""

    slot: int
    address: str
    state: str
    group: str


class QueueDoc(TypedDict):
    """Requests that wait for a free slot."""

    length_max: int
    wait_s: float


class BalanceDoc(TypedDict):
    """How requests choose a slot."""

    by: str
    name: str
    segments: int
    load_factor: float
    load_floor: int


class TimeoutsDoc(TypedDict):
    """Seconds."""

    connect_s: float
    request_s: float
    body_idle_s: float
    tunnel_idle_s: float


class RetryDoc(TypedDict):
    """When a request may be sent a second time."""

    budget_ratio: float
    budget_min_per_s: int
    attempts_max: int
    body_bytes_max: int


class HealthDoc(TypedDict):
    """The active check of each slot, and when a slot is left out."""

    path: str
    headers: dict[str, str]
    status_min: int
    status_max: int
    interval_s: float
    timeout_s: float
    eject_after: int
    eject_s: float


class FailureDoc(TypedDict):
    """Why a pool has no slot."""

    reason: str
    where: str
    next: str


class GuardDoc(TypedDict):
    """Who may reach one path below the mount."""

    path: str
    methods: list[str]
    require: list[str]


class AccessDoc(TypedDict):
    """What an app asks of who comes."""

    require: list[str]
    guards: list[GuardDoc]
    csrf_exempt: list[str]
    cookies: str
    headers: dict[str, str]
    authorization: str


class SigningDoc(TypedDict):
    """The key the edge signs with; `seed` is base64 of 32 bytes."""

    kid: str
    seed: str


class PublishedDoc(TypedDict):
    """The public part of a key that does not sign, as a JWK has it."""

    kid: str
    x: str


class IdentityDoc(TypedDict):
    """How people prove who they are, and what their roles grant."""

    app: str
    mount: str
    issuer: str
    signing: SigningDoc
    published: list[PublishedDoc]
    refresh_before_s: float
    stale_s: float
    skew_s: float
    poll_s: float
    call_s: float
    sessions_max: int
    credentials_max: int
    credential_s: float
    revocations_max: int
    roles: dict[str, list[str]]


class AppCacheDoc(TypedDict):
    """What of an app's answers is kept."""

    mode: str
    scope: str
    hold: str
    ttl_s: float
    stale_s: float
    fragments: bool
    cookies: list[str]


class CacheDoc(TypedDict):
    """Room for kept answers; `feed` is where the hub tells of changes."""

    feed: str | None
    bytes_max: int
    entry_bytes_max: int
    lease_s: float
    poll_s: float
    call_s: float
    expose: bool


class PoolDoc(TypedDict):
    """An app that is reached over HTTP."""

    kind: Literal["pool"]
    prefix: str
    slots: list[SlotDoc]
    canary_share: float
    concurrency: int
    abandon: Literal["finish", "cancel"]
    queue: QueueDoc
    balance: BalanceDoc
    timeouts: TimeoutsDoc
    retry: RetryDoc
    health: HealthDoc
    body_bytes_max: int | None
    compress: bool
    failure: FailureDoc | None
    access: NotRequired[AccessDoc | None]
    cache: NotRequired[AppCacheDoc | None]


class StaticDoc(TypedDict):
    """A directory the edge serves."""

    kind: Literal["static"]
    root: str
    index: list[str]
    fallback: str | None
    cache_control: str
    compress: bool
    access: NotRequired[AccessDoc | None]


class RedirectDoc(TypedDict):
    """An answer that sends the client elsewhere."""

    kind: Literal["redirect"]
    to: str
    status: int
    keep_path: bool
    access: NotRequired[AccessDoc | None]


AppDoc = PoolDoc | StaticDoc | RedirectDoc


class SnapshotDoc(TypedDict):
    """The whole configuration of the edge."""

    schema: int
    generation: int
    site: str
    mode: str
    secret: str
    listeners: dict[str, ListenerDoc]
    certificates: list[CertificateDoc]
    hsts_s: int
    trusted_proxies: list[str]
    limits: LimitsDoc
    access_log: str
    compression: CompressionDoc
    hosts: list[HostDoc]
    identity: NotRequired[IdentityDoc | None]
    cache: NotRequired[CacheDoc | None]
    apps: dict[str, AppDoc]
