"""P5 to P8: how fast jobs are accepted and done, and what becomes of them after kill -9.

Place:  bench.__main__ -> [queues] -> bench.queues_stand, bench.hub_enqueue
Rule:   the same jobs for everybody, counted by the marks they leave; each peer with the defaults of
        its own guide; a cell that took too long says so, and stays in.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bench import hub_enqueue
from bench.measure import Result
from bench.queues_stand import (
    BOOT_S_MAX,
    CONCURRENCY,
    Engines,
    Peer,
    Stand,
    stand,
    versions,
    wait_for,
)

ROUNDS = 3
JOBS = 1_500
DONE_S_MAX = 30.0
"""How long a backlog may take; what is done by then is what counts."""
RECOVERY_S_MAX = 75.0
"""How long a lost job is waited for: more than twice the shortest default of any peer."""
QUICK_S = 10.0
"""Who recovers sooner is measured alone and again; who does not, once, beside the others."""
HOLD_S = 3.0
KNOWN_S = 3.0
"""Workers that are up need so long to say so to whoever wants to know."""

MERGEPOINT = "Mergepoint"
FIELDS: dict[str, tuple[Peer, ...]] = {
    "embedded": (
        Peer("Huey, fsync", "huey", "sqlite", {"BENCH_FSYNC": "1"}),
        Peer("Huey", "huey", "sqlite"),
        Peer(MERGEPOINT, "mergepoint", "hub"),
    ),
    "PostgreSQL": (
        Peer("Procrastinate", "procrastinate", "postgresql"),
        Peer("pgqueuer", "pgqueuer", "postgresql"),
        Peer(MERGEPOINT, "mergepoint", "postgresql"),
    ),
    "Redis": (
        Peer("Celery prefork", "celery", "redis"),
        Peer("Celery threads", "celery", "redis", {"BENCH_POOL": "threads"}),
        Peer("Dramatiq", "dramatiq", "redis"),
        Peer("Taskiq", "taskiq", "redis"),
        Peer(MERGEPOINT, "mergepoint", "redis"),
    ),
    "RabbitMQ": (
        Peer("Celery prefork", "celery", "rabbitmq"),
        Peer("Dramatiq", "dramatiq", "rabbitmq"),
        Peer("Taskiq", "taskiq", "rabbitmq"),
        Peer(MERGEPOINT, "mergepoint", "rabbitmq"),
    ),
}
REACH = {
    "Huey, fsync": 2.0, "Procrastinate": 1.5, "pgqueuer": 1.5, "Celery prefork": 3.0,
    "Celery threads": 3.0, "Dramatiq": 1.0, "Taskiq": 1.0,
}  # fmt: skip


@dataclass
class Recovery:
    """What became of the jobs of a worker that was killed, and of those of its neighbour."""

    seconds: list[float] = field(default_factory=list)
    lost: int = 0
    twice: int = 0
    """Jobs that were started again while their worker lived."""


def enqueue_per_s(of: Stand, number: int) -> float:
    """Return how many jobs are accepted each second, one at a time from one process."""
    return number / float(of.step("enqueue", str(number)))


def jobs_per_s(of: Stand, waiting: int) -> float:
    """Return how fast a worker empties what waits, from its first mark on."""
    with of.worker():
        if not wait_for(lambda: of.counted() > 0, BOOT_S_MAX):
            return 0.0
        began_s, first = time.monotonic(), of.counted()
        wait_for(lambda: of.counted() >= waiting, DONE_S_MAX)
        return (of.counted() - first) / (time.monotonic() - began_s)


def recover(of: Stand, made: Recovery) -> None:
    """Kill one of two workers that have jobs, and see when these run again, and what else does."""
    with of.worker(), of.worker():
        of.step("hold", "first", "0.1")
        if not wait_for(lambda: bool(of.started("first")), BOOT_S_MAX):
            raise RuntimeError(f"{of.peer.name}: no worker works")
        time.sleep(KNOWN_S)
        names = ("one", "two")
        for step in [of.begin("hold", name, str(HOLD_S)) for name in names]:
            of.end(step)
        wait_for(lambda: all(of.started(name) for name in names), BOOT_S_MAX)
        victim = of.started("one")[0][1]
        dead = [name for name in names if of.started(name)[0][1] == victim]
        os.killpg(victim, signal.SIGKILL)
        killed_s = time.monotonic()
        again = wait_for(lambda: all(len(of.started(n)) > 1 for n in dead), RECOVERY_S_MAX)
        made.seconds.append(
            max(of.started(name)[1][0] for name in dead) - killed_s if again else RECOVERY_S_MAX
        )
        made.lost += sum(len(of.started(name)) < 2 for name in dead)
        made.twice += sum(len(of.started(name)) > (2 if name in dead else 1) for name in names)


def run(*, quick: bool) -> list[Result]:
    """Measure everybody in turn, then what a kill costs."""
    rounds, number = (1, 300) if quick else (ROUNDS, JOBS)
    results = hub_enqueue.run(quick=quick)
    with contextlib.ExitStack() as stack:
        engines = Engines(stack)
        accepted, done = rates(engines, rounds, number)
        recovered = recoveries(engines, rounds)
    for name, peers in FIELDS.items():
        work = {"embedded": "P5", "PostgreSQL": "P6"}.get(name, "P7")
        of = {peer.name: peer for peer in peers}
        results.append(
            Result(
                name=f"{work} enqueue {name}",
                unit="/s",
                versions=versions(),
                question="Tasks accepted each second, one process, one at a time",
                rounds={short: accepted[peer] for short, peer in of.items()},
            )
        )
        results.append(
            Result(
                name=f"{work} jobs {name}",
                unit="/s",
                versions=versions(),
                reach=REACH,
                question=f"No-op jobs done each second, one worker, {CONCURRENCY} at once",
                rounds={short: done[peer] for short, peer in of.items()},
            )
        )
        results.append(recovery_table(name, {short: recovered[p] for short, p in of.items()}))
    return results


def everybody() -> list[Peer]:
    """Return every peer; fields are interleaved, so that no engine is always measured late."""
    longest = max(len(peers) for peers in FIELDS.values())
    turns = [[*peers[at : at + 1]] for at in range(longest) for peers in FIELDS.values()]
    return [peer for turn in turns for peer in turn]


def rates(
    engines: Engines, rounds: int, number: int
) -> tuple[dict[Peer, list[float]], dict[Peer, list[float]]]:
    """Return how many jobs each peer accepts, and does, in a second."""
    accepted: dict[Peer, list[float]] = {peer: [] for peer in everybody()}
    done: dict[Peer, list[float]] = {peer: [] for peer in everybody()}
    for _ in range(rounds):
        for peer in everybody():
            with stand(peer, engines) as made:
                accepted[peer].append(enqueue_per_s(made, number))
                done[peer].append(jobs_per_s(made, number + (number // 10 or 1)))
            print(
                f"  {peer.broker:10} {peer.name:14} {accepted[peer][-1]:8.0f} enqueued/s"
                f" {done[peer][-1]:8.0f} jobs/s", flush=True,
            )  # fmt: skip
    return accepted, done


def recoveries(engines: Engines, rounds: int) -> dict[Peer, Recovery]:
    """Return what a kill costs everybody: all peers at once first, then whoever is quick alone."""
    made = {peer: Recovery() for peer in everybody()}

    def once(peer: Peer) -> None:
        with stand(peer, engines) as of:
            recover(of, made[peer])
        print(f"  {peer.broker:10} {peer.name:14} {made[peer].seconds[-1]:8.2f} s to recover")

    peers = [peer for peer in everybody() if peer.name != MERGEPOINT]
    with ThreadPoolExecutor(len(peers)) as threads:
        list(threads.map(once, peers))
    quick = [peer for peer in peers if made[peer].seconds[0] < QUICK_S]
    for peer in quick:
        made[peer] = Recovery()
    ours = [peer for peer in everybody() if peer.name == MERGEPOINT]
    for _ in range(rounds):
        for peer in [*quick, *ours]:
            once(peer)
    return made


def recovery_table(name: str, made: dict[str, Recovery]) -> Result:
    """Return one table; what never came back is the limit that was waited for."""
    return Result(
        name=f"P8 recovery {name}",
        question="Seconds from kill -9 of a worker to its job's next start (asked for: under 1 "
        f"embedded); {RECOVERY_S_MAX:g} is as long as was waited, for jobs that did not come back",
        unit="s",
        versions=versions(),
        rounds={peer: of.seconds for peer, of in made.items()},
        higher_is_better=False,
        details={
            "jobs lost": {peer: of.lost for peer, of in made.items()},
            "jobs of live workers run twice": {peer: of.twice for peer, of in made.items()},
        },
    )
