"""How messages reach apps that do not know the bus, and how any program hands messages over.

Place:  manifest.site -> [assembly.deliveries] -> assembly.messages, bus.gateway
Rule:   decides paths, sockets and tokens; the gateway is told, and asks nobody.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mergepoint.edge.health import worker_path
from mergepoint.manifest.messages import Bus, Subscription
from mergepoint.manifest.site import App, PrefixMode, Site
from mergepoint.supervisor.places import SOCKETS

HTTP_SOCKET, HUB_SOCKET = "bus-http.sock", "hub.sock"
SNAPSHOT = "snapshot.json"
PURPOSE = b"mergepoint.bus.http"
TOKEN_CHARACTERS = 43

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Proofs of which app publishes by HTTP; made from one key, so that none has to be kept."""

    key: bytes = field(repr=False)

    @classmethod
    def from_secret(cls, secret: bytes) -> Tokens:
        """Return the tokens of a site, from its own secret."""
        return cls(hmac.digest(secret, PURPOSE, "sha256"))

    def of(self, app: str) -> str:
        """Return the token of an app: its name, and what only this site can compute of it."""
        return f"{app}.{hmac.new(self.key, app.encode(), hashlib.sha256).hexdigest()}"


def http_socket(site: Site, app: str) -> Path:
    """Return the socket an app publishes on: in a place that its own user may enter."""
    user = site.apps[app].user if app in site.apps else None
    return user_socket(site, user)


def user_socket(site: Site, user: str | None, name: str = HTTP_SOCKET) -> Path:
    """Return the socket for the apps that run as `user`; None is the site's own user."""
    if user is None:
        return site.run_dir / name
    return Path(f"{site.run_dir}{SOCKETS}") / user / name


def hub_socket(site: Site, app: str = "") -> Path:
    """Return where the hub is reached: by an app with its own user through the gateway."""
    user = site.apps[app].user if app in site.apps else None
    return user_socket(site, user, HUB_SOCKET)


def users_of(site: Site) -> list[str]:
    """Return the users that apps run as, beside the site's own."""
    return sorted({app.user for app in site.apps.values() if app.user is not None})


def http_sockets(site: Site) -> tuple[Path, ...]:
    """Return every socket to publish on: the site's own, and one for each user apps run as."""
    return tuple(user_socket(site, user) for user in (None, *users_of(site)))


def gateway_document(site: Site, bus: Bus, tokens: Tokens) -> Json:
    """Return the settings of the gateway (`mergepoint.bus.gateway.settings`)."""
    users = users_of(site)
    owners = zip(http_sockets(site), ("", *users), strict=True)
    sockets = [{"path": str(path), "user": user} for path, user in owners]
    return {
        "site": site.name,
        "snapshot": str(site.run_dir / SNAPSHOT),
        "state_file": str(site.state_dir / "subscriptions.json"),
        "issuer": f"mergepoint:{site.name}" if site.identity is not None else "",
        "sockets": sockets if bus.http else [],
        "hub": str(hub_socket(site)),
        "hub_sockets": [
            {"path": str(user_socket(site, user, HUB_SOCKET)), "user": user}
            for user in (() if bus.url.is_remote_hub else users)
        ],
        "token_key": tokens.key.hex(),
        "message_bytes_max": bus.message_bytes_max,
        "attempts_max": bus.attempts_max,
        "subscriptions": [_subscription(site, entry) for entry in site.subscriptions],
    }


def _subscription(site: Site, given: Subscription) -> Json:
    document = asdict(given)
    del document["origin"]
    app = site.apps[given.app]
    mount = app.mounts[0].path.rstrip("/") if app.mounts else ""
    headers = {"host": host_of(site, app)}
    if mount and app.prefix is not PrefixMode.KEEP:
        headers["x-forwarded-prefix"] = mount
    return {**document, "post": worker_path(app, given.post), "headers": headers}


def host_of(site: Site, app: App) -> str:
    """Return the host an app is asked under: its own, else the site's, else this machine."""
    own = [mount.host for mount in app.mounts if not mount.host.startswith("*")]
    if own:
        return own[0]
    if site.identity is not None and site.identity.public_url:
        return urlsplit(site.identity.public_url).netloc or "localhost"
    return "localhost"
