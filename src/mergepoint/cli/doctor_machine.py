"""What the machine offers: Python, the edge binary, limits, systemd, the clock, the kernel.

Place:  cli.doctor_checks -> [cli.doctor_machine]
Rule:   each check asks the system once and yields results; thresholds are named here.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mergepoint import __version__
from mergepoint.assembly.binary import NoEdgeBinary, edge_argv
from mergepoint.cli.doctor_result import Check, Result
from mergepoint.core.clock import SystemClock

OPEN_FILES_WANTED = 4096
"""Soft limit below which a busy edge runs out of connections."""
TOO_EARLY_UNIX_S = 1_735_689_600
"""2025-01-01: a clock before this release was made is wrong."""
EDGE_TIMEOUT_S = 5.0
SQLITE_MIN = (3, 35, 0)
"""The oldest with RETURNING, which the hub's queues are written with."""
LIBRARIES = ("anyio", "click", "granian", "pydantic", "psutil", "rich", "watchfiles")


def python() -> Iterator[Result]:
    """Tell which Python runs Mergepoint and on what."""
    found = platform.python_version()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    state = "ok" if sys.platform == "linux" else "warning"
    note = "" if state == "ok" else "; Linux is what production is tested on"
    yield Result("python", state, f"{found} ({sys.executable}) on {system}{note}")


def versions() -> Iterator[Result]:
    """Tell the versions of Mergepoint and what it stands on."""
    shown, missing = [f"mergepoint {__version__}"], []
    for name in LIBRARIES:
        try:
            shown.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        fix = f"{sys.executable} -m pip install {' '.join(missing)}"
        yield Result("versions", "failed", f"not installed: {', '.join(missing)}", fix)
    yield Result("versions", "ok", ", ".join(shown))


def sqlite() -> Iterator[Result]:
    """Tell which SQLite keeps queues, tasks and accounts."""
    import sqlite3

    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        wanted = ".".join(map(str, SQLITE_MIN))
        fix = f"run Mergepoint with a Python that has SQLite {wanted} or newer"
        yield Result("sqlite", "failed", f"{found}; the hub needs {wanted}", fix)
        return
    yield Result("sqlite", "ok", found)


def edge() -> Iterator[Result]:
    """Find the edge binary where the site will look for it, and ask its version."""
    try:
        found = edge_argv(None, os.environ)[0]
    except NoEdgeBinary as error:
        fix = f"{sys.executable} -m pip install mergepoint-edge=={__version__}"
        yield Result("edge", "failed", error.message, fix)
        return
    try:
        done = subprocess.run(
            [found, "--version"],
            capture_output=True,
            text=True,
            timeout=EDGE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Result("edge", "failed", f"{found} does not run: {error}", "install it again")
        return
    said = done.stdout.strip() or done.stderr.strip()
    if done.returncode or __version__ not in said:
        fix = f"{sys.executable} -m pip install mergepoint-edge=={__version__}"
        yield Result("edge", "failed", f"{found} says {said!r}, {__version__} is needed", fix)
        return
    yield Result("edge", "ok", f"{said} ({found})")


def open_files() -> Iterator[Result]:
    """Compare the limit of open files with what a busy site needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = f"{_limit(soft)} open files (hard limit {_limit(hard)})"
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES_WANTED:
        fix = f"ulimit -n {OPEN_FILES_WANTED}, or LimitNOFILE=65536 in the systemd unit"
        yield Result("open files", "warning", shown, fix)
    else:
        yield Result("open files", "ok", shown)


def systemd() -> Iterator[Result]:
    """Tell whether systemd runs here and whether it started us."""
    if not Path("/run/systemd/system").is_dir():
        yield Result(
            "systemd", "ok", "not the init system here; any supervisor of processes will do"
        )
    elif os.environ.get("NOTIFY_SOCKET"):
        yield Result("systemd", "ok", "started this process and waits for notifications")
    else:
        yield Result("systemd", "ok", "runs; a unit is in docs/how-to/production.md")


def clock() -> Iterator[Result]:
    """Compare the clock with facts: this release's date, and files written by this machine."""
    now = SystemClock().unix_s()
    newest = max(Path(p).stat().st_mtime for p in (__file__, sys.executable))
    if now < TOO_EARLY_UNIX_S or newest > now + 86400:
        yield Result("clock", "warning", "the clock is behind", "timedatectl set-ntp true")
    else:
        yield Result("clock", "ok", "plausible")


def kernel() -> Iterator[Result]:
    """Look for what the supervisor uses when it is there."""
    if hasattr(os, "pidfd_open"):
        os.close(os.pidfd_open(os.getpid()))
        yield Result("kernel", "ok", "pidfd: processes are watched without races")
    else:
        yield Result("kernel", "warning", "no pidfd: processes are watched by number")
    controllers = Path("/sys/fs/cgroup/cgroup.controllers")
    if controllers.exists() and "cpu" in controllers.read_text(encoding="ascii").split():
        yield Result("cgroups", "ok", "version 2 with the cpu controller")
    else:
        yield Result("cgroups", "ok", "no cpu controller: limits.cpu is kept by niceness")
    start = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if os.geteuid() and start.exists() and int(start.read_text(encoding="ascii")) > 80:
        yield Result("low ports", "ok", "below 1024 only through systemd's socket activation")


def memory() -> Iterator[Result]:
    """Tell how much memory there is for workers."""
    import psutil

    found = psutil.virtual_memory()
    free, total = found.available / 2**30, found.total / 2**30
    state = "warning" if found.available < found.total * 0.05 else "ok"
    fix = "stop something, or set memory under [site]" if state == "warning" else ""
    yield Result("memory", state, f"{free:.1f} of {total:.1f} GiB available", fix)


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


CHECKS: tuple[Check, ...] = (
    python,
    versions,
    sqlite,
    edge,
    open_files,
    memory,
    systemd,
    clock,
    kernel,
)
