"""A backend that does nothing, as fast as it can: nginx answering from memory on a Unix socket.

Place:  proxy under test -> [backend]
Rule:   so much faster than any proxy that it never is the limit.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from mergepoint_testkit.peers import program

CONFIG = """
daemon off; master_process on; worker_processes 1; pid {dir}/backend.pid;
error_log {dir}/backend-error.log crit;
{user}
events {{ worker_connections 8192; }}
http {{
  open_file_cache max=8; access_log off; keepalive_requests 100000000;
  client_body_temp_path {dir}/b1; proxy_temp_path {dir}/b2; fastcgi_temp_path {dir}/b3;
  uwsgi_temp_path {dir}/b4; scgi_temp_path {dir}/b5;
  server {{
    listen unix:{socket} backlog=4096;
    {tcp}
    default_type text/plain;
    location = /small {{ return 200 "{small}"; }}
    location = /large {{ alias {dir}/large.txt; }}
    location / {{ return 200 "{small}"; }}
  }}
}}
"""


@contextlib.contextmanager
def nothing(directory: Path, port: int = 0) -> Iterator[tuple[str, int]]:
    """Serve 100 bytes at /small and 10 KB at /large; yield the address and the pid.

    It listens on a Unix socket, and on `port` of 127.0.0.1 too where one is given.
    """
    binary, path = program("nginx"), directory / "nothing.sock"
    if binary is None:
        raise FileNotFoundError("nginx is not installed: apt-get install nginx-light")
    config = directory / "backend.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    tcp = f"listen 127.0.0.1:{port} backlog=4096;" if port else ""
    text = CONFIG.format(dir=directory, socket=path, small="x" * 100, user=user, tcp=tcp)
    config.write_text(text)
    (directory / "large.txt").write_text("y" * 10240)
    process = subprocess.Popen([binary, "-c", str(config), "-p", str(directory)])
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
                break
            time.sleep(0.02)
        yield f"unix:{path}", process.pid
    finally:
        process.terminate()
        process.wait(10)
