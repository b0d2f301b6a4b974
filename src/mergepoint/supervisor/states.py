"""Every state a slot or an app can be in, what it means, and what an operator does about it.

Place:  supervisor.pool -> [supervisor.states] -> supervisor.status, docs/reference/processes.md
Rule:   tables only; the documentation is drawn from them, so they are written for people.
"""

from __future__ import annotations

from collections.abc import Mapping

from mergepoint.supervisor.pool import CRASHES_SHOWN, Phase, Pool

SLOT_STATES: Mapping[str, str] = {
    "starting": "A process runs and has not answered its readiness check yet, or is about to run.",
    "ready": "Its process takes requests.",
    "draining": "Its process takes no new request and finishes what it holds.",
    "stopping": "Its process was asked to end (TERM) and is killed at the deadline `kill_s`.",
    "backoff": "No process; the next start waits because the last one crashed or did not start.",
    "failed": "As `backoff`, after three crashes in a row: callers see the reason.",
}

APP_STATES: Mapping[str, str] = {
    "starting": "No process has served yet; requests wait in the edge's queue.",
    "ready": "Every slot serves the release that is wanted.",
    "degraded": "It serves, but a slot is missing or the last release was refused.",
    "failed": "No process serves; callers see the reason.",
    "stopped": "It is being taken away.",
    "external": "It needs no process here: static files, a redirect, a service elsewhere.",
}

EVENTS: Mapping[str, str] = {
    "ready": "the readiness path and the smoke list were answered",
    "drain": "its replacement serves, or it has no place any more",
    "stop": "no edge has a request on it, or `drain_s` has passed (TERM)",
    "kill": "`kill_s` has passed (KILL, to the whole process group)",
    "exited": "the process ended",
}

SIGNALS: Mapping[str, str] = {
    "TERM, INT": "Finish what is open, end everything, exit 0. A second one ends everything now.",
    "QUIT": "End everything now.",
    "HUP": "Read the manifest again and roll only what changed; a broken one changes nothing.",
    "USR1": "Open the log files anew.",
    "TTIN, TTOU": "Ignored: a site has many pools; use `mergepoint scale`.",
}

FILES: Mapping[str, str] = {
    "`<run_dir>/lock`": "Held by the supervisor; its pid is inside.",
    "`<run_dir>/control.sock`": "Commands (contracts.md section 4); only this user and root.",
    "`<run_dir>/processes.json`": "Every live process, for the next supervisor; gone after a stop.",
    "`<run_dir>/snapshot.json`": "What the edge obeys now.",
    "`<run_dir>/edge.<n>.sock`": "Control channel of an edge.",
    "`<run_dir>/<app>.<slot>.g<n>.sock`": "Socket of a worker; a new name for every process.",
    "`<run_dir>/hub.sock`": "The hub of a site that has a bus.",
    "`<run_dir>/bus-http.sock`": "Where workers publish over HTTP; asks for their token.",
    "`<run_dir>.u/<user>/`": "Sockets of apps that run as another user; owned by that user.",
    "`/dev/shm/mergepoint-<uid>-<hash>/<app>.<slot>.<n>.log`": (
        "What a process printed and nobody has read yet; gone after a stop."
    ),
    "`<state_dir>/logs/<app>.log`": (
        "JSON lines, 10 MiB and five older files kept; the directory is made with mode 0750."
    ),
    "`<state_dir>/secret`": (
        "Key of the sticky cookies, of signed messages and of tokens to publish; mode 0600."
    ),
    "`<state_dir>/bus.db`": "Queues, dead letters, tasks and their results; the hub's alone.",
    "`<state_dir>/backups/`": "Copies that `mergepoint bus backup` made.",
    "`<state_dir>/subscriptions.json`": "Which subscriptions are in force.",
}


def app_state(pool: Pool) -> str:
    """Return the state of an app: what its callers meet, then whether all is as wanted."""
    serving = [p for p in pool.processes if p.phase is Phase.READY]
    if pool.ending:
        return "stopped"
    if not serving:
        return "failed" if pool.failure is not None else "starting"
    if pool.refused is not None or len({p.slot for p in serving}) < pool.count:
        return "degraded"
    return "ready"


def slot_state(pool: Pool, number: int, now: float) -> str:
    """Return the state of a slot without a live process."""
    slot = pool.slot(number)
    if now >= slot.retry_at_s:
        return "starting"
    return "failed" if slot.crashes >= CRASHES_SHOWN else "backoff"
