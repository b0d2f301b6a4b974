"""The proxies of the field, each in front of one backend, for differential tests and benchmarks.

Place:  tests, bench -> [peers] -> nginx, HAProxy, Envoy
Rule:   every peer in its own recommended set-up, on loopback, in a directory of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

START_S_MAX = 10.0

NGINX = """
daemon off; master_process on; worker_processes 1;
pid {dir}/nginx.pid; error_log {dir}/error.log warn;
{user}
events {{ worker_connections 16384; }}
http {{
  access_log off; server_tokens off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f;
  uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  keepalive_requests 1000000;
  upstream app {{ server {upstream}; keepalive 128; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      {location}
    }}
  }}
}}
"""

NGINX_PROXY = """proxy_pass http://app; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;"""

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout http-request 10s
  option forwardfor
  http-reuse always
frontend site
  bind 127.0.0.1:{port} backlog 4096
  default_backend app
backend app
  server one {upstream}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """A running proxy: its name, version and port on 127.0.0.1."""

    name: str
    version: str
    port: int
    pid: int


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str | None:
    """Find a program, looking in the system directories that users' paths leave out."""
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def version_of(*argv: str) -> str:
    """Return the first line a program prints about its version, with its name for its path."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip().replace(argv[0], Path(argv[0]).name) if lines else "unknown"


def wait_for_port(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    """Return once `port` accepts; raise RuntimeError when the process ends first."""
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} did not listen on {port} within {START_S_MAX} s")


def wait_for_socket(path: Path, process: subprocess.Popen[bytes], name: str) -> None:
    """Return once the Unix socket accepts; raise RuntimeError when the process ends first."""
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} did not listen on {path} within {START_S_MAX} s")


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Stop a process that leads its own group, and the group; kill it after five seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


@contextlib.contextmanager
def running(
    argv: list[str], directory: Path, name: str, port: int, *, cwd: Path | None = None
) -> Iterator[int]:
    """Run `argv` until the block ends, its output in ``<name>.log``; yield its pid."""
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            argv, stdout=log, stderr=log, cwd=cwd or directory, start_new_session=True
        )
        try:
            wait_for_port(port, process, name)
            yield process.pid
        finally:
            end_group(process)


@contextlib.contextmanager
def nginx(directory: Path, address: str, *, location: str = NGINX_PROXY) -> Iterator[Peer]:
    """Run nginx in front of `address`; `location` replaces what it does with a request."""
    binary, port = program("nginx"), free_port()
    if binary is None:
        raise FileNotFoundError("nginx is not installed: apt-get install nginx-light")
    user = "user root;" if os.geteuid() == 0 else ""
    upstream = address.removeprefix("tcp:")
    config = directory / "nginx.conf"
    config.write_text(
        NGINX.format(dir=directory, port=port, upstream=upstream, user=user, location=location)
    )
    argv = [binary, "-c", str(config), "-p", str(directory)]
    with running(argv, directory, "nginx", port) as pid:
        yield Peer("nginx", version_of(binary, "-v"), port, pid)


@contextlib.contextmanager
def haproxy(directory: Path, address: str) -> Iterator[Peer]:
    """Run HAProxy in front of `address`."""
    binary, port = program("haproxy"), free_port()
    if binary is None:
        raise FileNotFoundError("HAProxy is not installed: apt-get install haproxy")
    upstream = address.removeprefix("tcp:").replace("unix:", "unix@")
    config = directory / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, upstream=upstream))
    with running([binary, "-f", str(config), "-db"], directory, "haproxy", port) as pid:
        yield Peer("HAProxy", version_of(binary, "-v"), port, pid)


@contextlib.contextmanager
def envoy(directory: Path, address: str, binary: str) -> Iterator[Peer]:
    """Run Envoy (the binary of its wheel) in front of `address`."""
    port = free_port()
    config = directory / "envoy.json"
    config.write_text(json.dumps(_envoy_config(port, address)))
    argv = [binary, "-c", str(config), "--concurrency", "1", "-l", "error"]
    argv += ["--use-dynamic-base-id"]
    with running(argv, directory, "envoy", port) as pid:
        yield Peer("Envoy", version_of(binary, "--version"), port, pid)


def _envoy_config(port: int, address: str) -> dict[str, object]:
    """Return a bootstrap with one listener, one route and one cluster."""
    if address.startswith("unix:"):
        upstream: dict[str, object] = {"pipe": {"path": address.removeprefix("unix:")}}
    else:
        host, _, number = address.removeprefix("tcp:").rpartition(":")
        upstream = {"socket_address": {"address": host, "port_value": int(number)}}
    extension = "type.googleapis.com/envoy.extensions.filters"
    manager = {
        "@type": f"{extension}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "site",
        "use_remote_address": True,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{extension}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    listen = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    endpoint = {"endpoint": {"address": upstream}}
    cluster = {
        "name": "app",
        "type": "STATIC",
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": 16384, "max_pending_requests": 16384, "max_requests": 16384}
            ]
        },
        "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {
        "static_resources": {
            "listeners": [{"address": listen, "filter_chains": [chain]}],
            "clusters": [cluster],
        }
    }
