"""P3: a page from the cache: hits each second of Mergepoint, nginx's proxy_cache and Varnish.

Place:  wrk -> nginx, Varnish where it is installed, Mergepoint -> bench.backend, asked once
Rule:   the same page of 10 KB, one thread of each, everything but wrk on the server CPU.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mergepoint_testkit import peers
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.snapshots import pool, site

from bench.backend import nothing
from bench.measure import SERVER_CPU, Result, Sample, interleave, pin, wrk

PAGE = "/large"
NGINX = """
  proxy_cache_path {dir}/kept keys_zone=kept:10m inactive=1h;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://{backend}; proxy_cache kept; proxy_cache_valid 200 1h;
      proxy_cache_lock on; add_header X-Cache $upstream_cache_status;
    }}
  }}
"""
CONFIG = """
daemon off; master_process on; worker_processes 1; pid {dir}/nginx.pid; {user}
error_log {dir}/nginx-error.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {dir}/n1; proxy_temp_path {dir}/n2; fastcgi_temp_path {dir}/n3;
  uwsgi_temp_path {dir}/n4; scgi_temp_path {dir}/n5;
{server}
}}
"""
KEPT = {
    "mode": "http",
    "scope": "anonymous",
    "hold": "none",
    "ttl_s": 3600.0,
    "stale_s": 0.0,
    "fragments": False,
    "cookies": [],
}
ROOM = {
    "feed": None,
    "bytes_max": 64 << 20,
    "entry_bytes_max": 1 << 20,
    "lease_s": 2.0,
    "poll_s": 0.02,
    "call_s": 0.25,
    "expose": False,
}


def run(*, quick: bool) -> list[Result]:
    """Measure hits of one page."""
    print("P3 cache hits")
    with tempfile.TemporaryDirectory(prefix="mp-p3-") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        port = peers.free_port()
        stack.enter_context(life_giving(directory, port))
        ports = start_all(stack, directory, port)

        def load(port: int) -> Sample:
            return wrk(port, PAGE, seconds=1 if quick else 4, connections=32)

        samples = interleave(ports, load, rounds=2 if quick else 5)
    versions = {"nginx": peers.version_of(str(peers.program("nginx")), "-v")}
    return [
        Result(
            name="P3 cache hits",
            question="Requests a second for one page of 10 KB that is kept, 32 connections",
            unit="requests/s",
            versions=versions,
            rounds={name: [one.requests_per_s for one in some] for name, some in samples.items()},
            details={"p99, ms": {name: some[-1].p99_ms for name, some in samples.items()}},
        )
    ]


@contextlib.contextmanager
def life_giving(directory: Path, port: int) -> Iterator[None]:
    """Serve the page so that it may be kept for an hour."""
    with nothing(directory) as (address, _):
        socket = address.removeprefix("unix:")
        server = (
            f"  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{socket}:; "
            'add_header Cache-Control "max-age=3600"; } }\n'
        )
        with nginx(directory / "life", port, server):
            yield


@contextlib.contextmanager
def nginx(directory: Path, port: int, server: str) -> Iterator[int]:
    """Run nginx with this server; yields its pid."""
    directory.mkdir()
    config = directory / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(CONFIG.format(dir=directory, user=user, server=server))
    binary = peers.program("nginx")
    if binary is None:
        raise FileNotFoundError("nginx is not installed: apt-get install nginx-light")
    argv = [binary, "-c", str(config), "-p", str(directory)]
    with peers.running(argv, directory, "nginx", port) as pid:
        yield pid


def start_all(stack: contextlib.ExitStack, directory: Path, backend: int) -> dict[str, int]:
    """Start every cache on the server CPU; return their ports."""
    ports = {"nginx": peers.free_port()}
    server = NGINX.format(dir=directory, port=ports["nginx"], backend=f"127.0.0.1:{backend}")
    pin(stack.enter_context(nginx(directory / "peer", ports["nginx"], server)), SERVER_CPU)
    if (varnish := peers.program("varnishd")) is not None:
        ports["Varnish"] = peers.free_port()
        argv = [varnish, "-F", "-n", str(directory / "varnish"), "-s", "malloc,64m"]
        argv += ["-a", f"127.0.0.1:{ports['Varnish']}", "-b", f"127.0.0.1:{backend}"]
        running = peers.running(argv, directory, "varnishd", ports["Varnish"])
        pin(stack.enter_context(running), SERVER_CPU)
    folder = directory / "edge"
    folder.mkdir()
    edge = stack.enter_context(EdgeProcess(folder))
    app = pool(f"tcp:127.0.0.1:{backend}", cache=KEPT)
    edge.start(site({"app": app}, cache=ROOM, access_log="off"))
    if edge.process is not None:
        pin(edge.process.pid, SERVER_CPU)
    ports["Mergepoint"] = edge.port()
    return ports
