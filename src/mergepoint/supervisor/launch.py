"""Become a worker: limits, user, no new privileges, then exec; failures are told on a pipe.

Place:  supervisor.spawn -> [supervisor.launch] -> the app's own program
Rule:   runs alone under ``python -I -S``; standard library only, imports nothing of ours; the order
        of the steps matters, because each one may need a right that a later one gives up.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import grp
import json
import os
import pwd
import resource
import signal
import sys
import warnings  # noqa: F401 - exec imports it, when our own library may be out of reach

TYPE_CHECKING = False  # importing typing would cost every start some milliseconds
if TYPE_CHECKING:
    from typing import Any

PR_SET_NO_NEW_PRIVS = 38
FD_FIRST = 3
FD_PARKED_MIN = 512
"""Descriptors are moved up here first, so that none overwrites another on its way down."""
EXIT_LAUNCH = 78


class LaunchError(Exception):
    """A step failed; the message is for the operator."""


def main() -> None:
    """Read the request from the descriptor given as the first argument and become that process."""
    request_fd, status_fd = int(sys.argv[1]), int(sys.argv[2])
    with os.fdopen(request_fd, "rb") as stream:
        request = json.load(stream)
    os.set_inheritable(status_fd, False)
    step = "start"
    try:
        for name, act in STEPS:
            step = name
            act(request)
        step = "exec"
        status_fd = place_descriptors(request, status_fd)
        os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - the purpose
    except (OSError, KeyError, ValueError, LaunchError) as error:
        told = {"step": step, "reason": explain(step, request, error)}
        os.write(status_fd, json.dumps(told).encode() + b"\n")
        os._exit(EXIT_LAUNCH)


def explain(step: str, request: dict[str, Any], error: BaseException) -> str:
    """Return what failed, in the words of the manifest."""
    program = request["argv"][0]
    match step, error:
        case "exec", FileNotFoundError() if os.path.exists(program):  # noqa: PTH110
            return f"{program} exists but its interpreter (first line) or loader does not"
        case "exec", FileNotFoundError():
            return f"{program}: no such program"
        case "exec", PermissionError():
            return f"{program}: user {who()} may not execute it"
        case "directory", FileNotFoundError():
            return f"directory {request['cwd']} does not exist"
        case "directory", PermissionError():
            return f"directory {request['cwd']}: user {who()} may not enter it"
        case "user", KeyError():
            return f"user {request['user']!r} does not exist on this machine"
        case "group", KeyError():
            return f"group {request['group']!r} does not exist on this machine"
        case (("user" | "group"), PermissionError()):
            return f"only root may start a process as {request['user'] or request['group']!r}"
        case _:
            return f"{step}: {error}"


def who() -> str:
    """Return the name of the user this process has become."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def own_session(_request: dict[str, Any]) -> None:
    """Leave the terminal and lead a process group that can be ended as one."""
    os.setsid()


def join_cgroup(request: dict[str, Any]) -> None:
    """Enter the control group prepared for this process, if there is one."""
    if request.get("cgroup"):
        with open(os.path.join(request["cgroup"], "cgroup.procs"), "w") as stream:  # noqa: PTH118, PTH123
            stream.write("0")


def set_niceness(request: dict[str, Any]) -> None:
    """Yield the CPU to others where no control group bounds it."""
    if not request.get("nice"):
        return
    nice = os.nice(int(request["nice"]))
    # With autogroups niceness only counts inside a session, and each worker has its own.
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as stream:  # noqa: PTH123
        stream.write(str(nice))


def schedule_as_batch(request: dict[str, Any]) -> None:
    """Let a worker that wakes up wait until the one that runs sleeps or has used its turn.

    A worker on a busy CPU is woken many times in a request: by the edge, by its own threads, by the
    interpreter lock. If each pushes aside what runs, half of the request's time goes into switches.
    Weight and share stay as they were; see SCHED_BATCH in sched(7). The price: beside a program
    that never sleeps on the same CPU, a request waits about one time slice (2 to 4 ms) longer.
    """
    if request.get("batch") and hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # a sandbox may forbid it: the worker is only slower
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def offer_to_oom_killer(request: dict[str, Any]) -> None:
    """Let the kernel end a worker before the edge and the supervisor when memory runs out."""
    if request.get("oom_score_adj"):
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as stream:  # noqa: PTH123
            stream.write(str(request["oom_score_adj"]))


def default_signals(_request: dict[str, Any]) -> None:
    """Undo what our interpreter ignores, and what nohup, cron or a shell in the background did.

    An ignored signal stays ignored in the next program: an app would not stop on INT.
    """
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):  # KILL, STOP and those the library keeps
            signal.signal(number, signal.SIG_DFL)


def set_limits(request: dict[str, Any]) -> None:
    """Set resource limits; never above the hard limit we were started with."""
    for name, value in request.get("rlimits", {}).items():
        which = getattr(resource, name)
        _soft, hard = resource.getrlimit(which)
        wanted = int(value)
        if hard != resource.RLIM_INFINITY and wanted > hard and os.geteuid() != 0:
            raise LaunchError(f"{name} {wanted} is above this machine's hard limit {hard}")
        resource.setrlimit(which, (wanted, wanted))


def become_group(request: dict[str, Any]) -> None:
    """Take the group and the supplementary groups while still allowed to."""
    user, group = request.get("user"), request.get("group")
    if not user and not group:
        return
    gid = grp.getgrnam(group).gr_gid if group else None
    if user:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            return  # the next step tells it
        gid = entry.pw_gid if gid is None else gid
        if os.geteuid() == 0 or entry.pw_uid != os.geteuid():
            os.initgroups(user, gid)
    if gid is not None and gid != os.getegid():
        os.setgid(gid)


def become_user(request: dict[str, Any]) -> None:
    """Give up our user for good."""
    if request.get("user"):
        entry = pwd.getpwnam(request["user"])
        if entry.pw_uid != os.geteuid():
            os.setuid(entry.pw_uid)
        request["env"].setdefault("HOME", entry.pw_dir)
        request["env"].setdefault("USER", entry.pw_name)


def forbid_privileges(_request: dict[str, Any]) -> None:
    """Make sure that no program started from here on gains rights by set-user-id bits."""
    if not sys.platform.startswith("linux"):
        return
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")


def enter_directory(request: dict[str, Any]) -> None:
    """Set the umask and enter the working directory as the final user, so that errors are true."""
    os.umask(int(request.get("umask", 0o027)))
    os.chdir(request["cwd"])


def place_descriptors(request: dict[str, Any], status_fd: int) -> int:
    """Number the passed descriptors from 3 in order; return where the status pipe is now."""
    wanted = [int(fd) for fd in request.get("fds", [])]
    if not wanted:
        return status_fd
    parked = [park(fd) for fd in wanted]
    status_fd = park(status_fd)
    os.closerange(FD_FIRST, FD_PARKED_MIN)
    for number, fd in enumerate(parked, start=FD_FIRST):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
    return status_fd


def park(fd: int) -> int:
    """Duplicate a descriptor out of the way, closed on exec."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FD_PARKED_MIN)


STEPS = (
    ("session", own_session),
    ("cgroup", join_cgroup),
    ("nice", set_niceness),
    ("scheduling", schedule_as_batch),
    ("memory", offer_to_oom_killer),
    ("signals", default_signals),
    ("limits", set_limits),
    ("group", become_group),
    ("user", become_user),
    ("privileges", forbid_privileges),
    ("directory", enter_directory),
)

if __name__ == "__main__":
    main()
