"""A Prosody of the test's own, on a loopback port, with accounts for a site and for people.

Place:  tests -> [prosody] -> real_server -> prosody
Rule:   never run as root; says what is Prosody's own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from mergepoint_testkit.peers import free_port
from mergepoint_testkit.real_server import RealServer, greeted, running
from mergepoint_testkit.services import require_program, unavailable

USER = "prosody"
"""Who the package made to run it; whoever runs the tests, when that is not root."""
SITE, SITE_PASSWORD = "site", "site-secret"
GREETING = b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client'"
GREETING += b" xmlns:stream='http://etherx.jabber.org/streams'>"


@dataclass
class ProsodyServer(RealServer):
    """One server, with the site's account and others."""

    name: ClassVar[str] = "prosody"
    program: str
    port: int
    people: Mapping[str, str] = field(default_factory=dict)
    """Accounts besides the site's, and their passwords."""

    def url(self, query: str = "", password: str = SITE_PASSWORD) -> str:
        """Return the address as the bus takes it."""
        where = f"127.0.0.1:{self.port}/localhost"
        return f"xmpp://{SITE}:{password}@{where}{'?' + query if query else ''}"

    def prepare(self) -> None:
        """Write its configuration and its accounts."""
        accounts = self.directory / "data" / "localhost" / "accounts"
        accounts.mkdir(parents=True)
        for name, password in {SITE: SITE_PASSWORD, **self.people}.items():
            (accounts / f"{name}.dat").write_text(f'return {{ ["password"] = "{password}"; }};\n')
        (self.directory / "prosody.cfg.lua").write_text(self._configuration())

    def _command(self) -> list[str]:
        return [self.program, "--config", str(self.directory / "prosody.cfg.lua"), "-F"]

    def _answers(self) -> bool:
        """It opens a stream."""
        return greeted(self.port, GREETING, b"stream")

    def _configuration(self) -> str:
        return f"""
pidfile = "{self.directory}/prosody.pid"
data_path = "{self.directory}/data"
log = {{ warn = "*console" }}
daemonize = false
modules_enabled = {{ "roster"; "saslauth"; "disco"; "ping"; "presence"; "message"; "iq" }}
modules_disabled = {{ "s2s"; "offline"; "limits" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {self.port} }}
s2s_ports = {{ }}
component_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
VirtualHost "localhost"
Component "pubsub.localhost" "pubsub"
  admins = {{ "{SITE}@localhost" }}
  autocreate_on_publish = false
  autocreate_on_subscribe = false
  pubsub_max_items = 1000
"""


@contextlib.contextmanager
def running_prosody(people: Mapping[str, str] | None = None) -> Iterator[ProsodyServer]:
    """Give a server that runs; skip, or fail where it is required, when none is installed."""
    path, port = require_program(ProsodyServer.name), free_port()
    user = USER if os.geteuid() == 0 else None
    if user is not None:
        try:
            pwd.getpwnam(user)
        except KeyError:
            unavailable(f"prosody does not run as root, and there is no user {user}")
    with running(
        lambda place: ProsodyServer(place, path, port, people or {}, user=user), ProsodyServer.name
    ) as server:
        yield server
