"""What runs of the bus beside the apps: the hub, the gateway, task workers; and what apps are told.

Place:  manifest.site -> [assembly.messages] -> assembly.build
Rule:   a site without a bus gets nothing from here; secrets go into the environment alone.
"""

from __future__ import annotations

import base64
import hmac
import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import mergepoint
from mergepoint.assembly import deliveries
from mergepoint.assembly.digests import digest, tree_digest
from mergepoint.assembly.feed import VARIABLE as FEED_VARIABLE
from mergepoint.assembly.feed import app_databases, feed_document
from mergepoint.host import boot
from mergepoint.manifest.messages import Bus
from mergepoint.manifest.site import App, Site
from mergepoint.supervisor.contract import AppSpec, Probe, Role

HUB, GATEWAY = "@hub", "@gateway"
HUB_READY_S = 60.0
"""A file that has to be recovered after a power cut is read whole."""
GATEWAY_READY_S = 20.0
BACKOFF_S, BACKOFF_S_MAX = 0.1, 5.0
HUB_KILL_S, GATEWAY_KILL_S = 10.0, 35.0
OWN_CODE = ("bus", "feed", "tasks", "wire", "core")
"""What the hub, the gateway and task workers run of Mergepoint."""

SIGNED_SERIALIZER, SIGNED_BY, SIGNED = "signed", "site", b"mergepoint.bus.signed"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Messages:
    """The bus of a site, ready to be handed out."""

    site: Site
    bus: Bus
    tokens: deliveries.Tokens = field(repr=False)
    signing: bytes = field(repr=False)
    """The key of signed messages; made of the site's own secret."""
    code: str
    """A digest of our own code: a new version of Mergepoint replaces what runs of the old one."""

    def environment(self, app: str, instance: str) -> dict[str, str]:
        """Return what a worker of `app` is told; `instance` is its address."""
        document = bus_document(self.site, self.bus, instance, self.signing)
        told = {"MERGEPOINT_BUS": json.dumps(document), **app_databases(self.site, app)}
        if self.bus.http:
            told["MERGEPOINT_BUS_HTTP"] = f"unix:{deliveries.http_socket(self.site, app)}"
            told["MERGEPOINT_BUS_TOKEN"] = self.tokens.of(app)
        return told


def prepare(site: Site, secret: bytes) -> Messages | None:
    """Return what the bus of this site needs; None for a site without one."""
    if site.bus is None:
        return None
    root = Path(mergepoint.__file__).parent
    code = tree_digest(*(root / part for part in OWN_CODE), root / "assembly")
    tokens = deliveries.Tokens.from_secret(secret)
    return Messages(site, site.bus, tokens, signing_key(secret), code)


def signing_key(secret: bytes) -> bytes:
    """Return the key by which the processes of a site know each other's messages."""
    return hmac.digest(secret, SIGNED, "sha256")


def service_specs(messages: Messages, apps: dict[str, AppSpec]) -> dict[str, AppSpec]:
    """Return the hub, the gateway and the task workers, by the names of their pools."""
    site = messages.site
    specs = [] if messages.bus.url.is_remote_hub else [hub_spec(messages)]
    if has_gateway(site, messages.bus):
        specs.append(gateway_spec(messages))
    specs += [
        task_spec(messages, site.apps[name], spec)
        for name, spec in apps.items()
        if site.apps[name].tasks is not None
    ]
    specs += [
        celery_spec(messages, site.apps[name], spec)
        for name, spec in apps.items()
        if site.apps[name].celery is not None
    ]
    return {spec.name: spec for spec in specs}


def has_gateway(site: Site, bus: Bus) -> bool:
    """Tell whether anybody needs the gateway: by HTTP, by an outbox, or to reach the hub."""
    reached = bool(deliveries.users_of(site)) and not bus.url.is_remote_hub
    return bool(bus.http or bus.outboxes or site.subscriptions or reached)


def hub_spec(messages: Messages) -> AppSpec:
    """Return the process that keeps queues, the ledger and schedules; never two at a time."""
    told = {
        "MERGEPOINT_HUB": json.dumps(hub_document(messages.site, messages.bus)),
        "MERGEPOINT_HUB_IS_QUEUE": "1" if messages.bus.url.is_own_hub else "0",
    }
    if messages.site.databases:
        told[FEED_VARIABLE] = json.dumps(feed_document(messages.site), sort_keys=True)
    argv = _own_program("mergepoint.assembly.hub")
    return AppSpec(
        HUB, digest([argv, told, messages.code]), argv, "none", told, messages.site.state_dir,
        role=Role.HUB, chained=True, probe=Probe(timeout_s=HUB_READY_S, settle_s=0.0),
        kill_s=HUB_KILL_S, backoff_s=BACKOFF_S, backoff_s_max=BACKOFF_S_MAX,
        sockets=(deliveries.hub_socket(messages.site),),
    )  # fmt: skip


def gateway_spec(messages: Messages) -> AppSpec:
    """Return the process that posts subscriptions to apps and takes what is published by HTTP."""
    site, bus = messages.site, messages.bus
    document = bus_document(site, bus, "mp.gateway/{slot}", messages.signing)
    told = {
        "MERGEPOINT_BUS": json.dumps({**document, "limits": _widest(site, bus)}),
        "MERGEPOINT_GATEWAY": json.dumps(deliveries.gateway_document(site, bus, messages.tokens)),
        "MERGEPOINT_OUTBOXES": json.dumps([url.value for url in bus.outboxes]),
    }
    argv = _own_program("mergepoint.assembly.gateway")
    return AppSpec(
        GATEWAY, digest([argv, told, messages.code]), argv, "none", told, site.state_dir,
        role=Role.GATEWAY, chained=True, probe=Probe(timeout_s=GATEWAY_READY_S, settle_s=0.0),
        kill_s=GATEWAY_KILL_S, backoff_s=BACKOFF_S, backoff_s_max=BACKOFF_S_MAX,
        sockets=deliveries.http_sockets(site) if bus.http else (),
    )  # fmt: skip


def task_spec(messages: Messages, app: App, spec: AppSpec) -> AppSpec:
    """Return the processes that run an app's tasks, where and as whom the app runs."""
    tasks = app.tasks
    assert tasks is not None  # noqa: S101 - the caller chose apps that have some
    document = task_document(messages.site, app)
    return _beside(messages, app, spec, "tasks", tasks.processes, document)


def celery_spec(messages: Messages, app: App, spec: AppSpec) -> AppSpec:
    """Return the app's Celery workers, where and as whom the app runs."""
    celery = app.celery
    assert celery is not None  # noqa: S101 - the caller chose apps that have some
    document = {
        "app": app.name,
        "target": celery.target,
        "directory": str(app.directory),
        "concurrency": celery.concurrency,
        "drain_s": app.timeouts.drain_s,
    }
    return _beside(messages, app, spec, "celery", celery.processes, document)


def _beside(
    messages: Messages, app: App, spec: AppSpec, word: str, processes: int, document: Json
) -> AppSpec:
    """Return processes without a route that `host.boot` starts for an app by a word."""
    name = f"{app.name}.{word}"
    told = {
        **{key: value for key, value in spec.env.items() if key not in {"MERGEPOINT_HOST"}},
        **messages.environment(app.name, f"{name}/{{slot}}"),
        f"MERGEPOINT_{word.upper()}": json.dumps(document, sort_keys=True),
    }
    argv = (str(app.python), boot.__file__, word)
    parts = [spec.digest, argv, told, messages.code]
    return replace(
        spec, name=name, digest=digest(parts), argv=argv, endpoint="none", env=told,
        role=Role.TASKS, of=app.name, processes=processes, processes_min=processes,
        processes_max=processes, requests_max=0, requests_jitter=0,
        probe=Probe(timeout_s=app.timeouts.ready_s, settle_s=0.2),
        # TERM is the beginning of its drain; KILL comes when that has had its time.
        drain_s=0.0, kill_s=app.timeouts.drain_s + app.timeouts.kill_s,
    )  # fmt: skip


def hub_document(site: Site, bus: Bus) -> Json:
    """Return the settings of the hub (`mergepoint.bus.hub.settings`)."""
    document: Json = {
        "state_dir": str(site.state_dir),
        "socket": str(deliveries.hub_socket(site)),
        "site": site.name,
        "durability": "durable" if bus.durable else "fast",
        "limits": {**_widest(site, bus), "dead_s": bus.retention_s},
    }
    if bus.listen:
        document |= {
            "listen": bus.listen,
            "certificate": str(bus.certificate),
            "key": str(bus.key),
            "token_file": str(bus.token_file),
        }
    return document


def bus_document(site: Site, bus: Bus, address: str, signing: bytes) -> Json:
    """Return `MERGEPOINT_BUS` for one address; ``{slot}`` in it is filled in for each process."""
    keys = {"key": SIGNED_BY, "keys": {SIGNED_BY: base64.b64encode(signing).decode()}}
    socket = deliveries.hub_socket(site, address.partition("/")[0].partition(".")[0])
    hub = _remote(bus) if bus.url.is_remote_hub else f"hub+unix://{quote(str(socket))}"
    document: Json = {
        "site": site.name,
        "url": hub if bus.url.is_own_hub or bus.url.is_remote_hub else bus.url.value,
        "hub": hub,
        "address": address,
        "serializer": bus.serializer,
        "serializer_options": keys if bus.serializer == SIGNED_SERIALIZER else {},
        "limits": _limits(bus),
        "tasks": {},
    }
    return document


def task_document(site: Site, app: App) -> Json:
    """Return `MERGEPOINT_TASKS`: what a process that runs tasks works on."""
    tasks = app.tasks
    assert tasks is not None  # noqa: S101 - the caller chose apps that have some
    own = [entry for entry in site.schedules if entry.app == app.name]
    return {
        "app": app.name,
        "module": tasks.module,
        "directory": str(app.directory),
        "threads": tasks.threads,
        "threads_auto": tasks.threads_auto,
        "queues": list(tasks.queues),
        "drain_s": app.timeouts.drain_s,
        "schedules": [
            {"task": s.task, "cron": s.cron, "timezone": s.timezone, "missed": s.missed}
            for s in own
        ],
    }


def _widest(site: Site, bus: Bus) -> Json:
    """Return the limits of who carries subscriptions: they may ask for more attempts than the bus.

    Whoever asks for fewer says so with each message.
    """
    asked = [subscription.attempts_max for subscription in site.subscriptions]
    return {**_limits(bus), "attempts_max": max([bus.attempts_max, *asked])}


def _remote(bus: Bus) -> str:
    """Return the address of another machine's hub with the file of the token it asks for."""
    mark = "&" if "?" in bus.url.value else "?"
    return f"{bus.url.value}{mark}token_file={quote(str(bus.token_file))}"


def _limits(bus: Bus) -> Json:
    return {
        "message_bytes_max": bus.message_bytes_max,
        "call_s": bus.call_s,
        "dedupe_s": bus.dedupe_s,
        "lease_s": bus.lease_s,
        "attempts_max": bus.attempts_max,
        "queue_messages_max": bus.queue_messages_max,
        "heartbeat_s": bus.heartbeat_s,
    }


def _own_program(module: str) -> tuple[str, ...]:
    # -P: nothing that lies in the working directory is imported instead of ours.
    return (sys.executable, "-P", "-m", module)
