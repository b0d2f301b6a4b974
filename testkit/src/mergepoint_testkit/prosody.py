"""A Prosody of the test's own, on a loopback port, with accounts for a site and for people.

Place:  tests -> [prosody] -> prosody
Rule:   never run as root; its files lie in a directory of its own below /tmp.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mergepoint_testkit.peers import free_port
from mergepoint_testkit.services import require_program, unavailable

START_S_MAX = 30.0
STOP_S_MAX = 15.0
USER = "prosody"
"""Who the package made to run it; whoever runs the tests, when that is not root."""
SITE, SITE_PASSWORD = "site", "site-secret"
GREETING = b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client'"
GREETING += b" xmlns:stream='http://etherx.jabber.org/streams'>"


@dataclass
class ProsodyServer:
    """One server; `kill` is SIGKILL, and `start` brings it back with what it had on disk."""

    program: str
    directory: Path
    port: int
    people: Mapping[str, str] = field(default_factory=dict)
    """Accounts besides the site's, and their passwords."""
    started_s: float = 0.0
    """How long the last start took."""
    _process: subprocess.Popen[bytes] | None = None

    def url(self, query: str = "", password: str = SITE_PASSWORD) -> str:
        """Return the address as the bus takes it."""
        where = f"127.0.0.1:{self.port}/localhost"
        return f"xmpp://{SITE}:{password}@{where}{'?' + query if query else ''}"

    def prepare(self) -> None:
        """Write its configuration and its accounts, for the user it runs as."""
        accounts = self.directory / "data" / "localhost" / "accounts"
        accounts.mkdir(parents=True)
        for name, password in {SITE: SITE_PASSWORD, **self.people}.items():
            (accounts / f"{name}.dat").write_text(f'return {{ ["password"] = "{password}"; }};\n')
        (self.directory / "prosody.cfg.lua").write_text(self._configuration())
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            for path in (self.directory, *self.directory.rglob("*")):
                os.chown(path, user.pw_uid, user.pw_gid)

    def start(self) -> None:
        """Start it and wait until it opens a stream."""
        began = time.monotonic()
        with (self.directory / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [self.program, "--config", str(self.directory / "prosody.cfg.lua"), "-F"],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                user=USER if os.geteuid() == 0 else None,
                group=pwd.getpwnam(USER).pw_gid if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
            )
        while not self._greets():
            if self._process.poll() is not None or time.monotonic() - began > START_S_MAX:
                said = (self.directory / "out").read_text()[-2000:]
                raise RuntimeError(f"prosody did not start: {said}")
            time.sleep(0.02)
        self.started_s = time.monotonic() - began

    def stop(self) -> None:
        """End it in good order; a second call does nothing."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it with SIGSTOP: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._signal(signal.SIGCONT)

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

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(GREETING)
                return b"stream" in connection.recv(4096)
        except OSError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_S_MAX)
        self._process = None


@contextlib.contextmanager
def running_prosody(people: Mapping[str, str] | None = None) -> Iterator[ProsodyServer]:
    """Give a server that runs; skip, or fail where it is required, when none is installed."""
    path = require_program("prosody")
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(USER)
        except KeyError:
            unavailable(f"prosody does not run as root, and there is no user {USER}")
    directory = Path(tempfile.mkdtemp(prefix="mergepoint-prosody-", dir="/tmp"))
    server = ProsodyServer(path, directory, free_port(), people or {})
    try:
        server.prepare()
        server.start()
        print(f"prosody answers after {server.started_s:.2f} s")
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
