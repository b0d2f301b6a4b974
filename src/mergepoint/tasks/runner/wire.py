"""What a runner and its children say to each other over their socket pair.

Place:  runner.child <-> [runner.wire] <-> runner.worker
Rule:   pure; one JSON head per frame, records as `ledger.documents` writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mergepoint.balance.measure import Meter
from mergepoint.tasks.contract import Finish, TaskRecord
from mergepoint.tasks.executing import Job
from mergepoint.tasks.ledger.documents import from_plain, to_plain
from mergepoint.wire.frames import FrameReader, encode_json

FRAME_BYTES_MAX = 256 * 1024 * 1024
"""A batch of many large tasks; both ends are ours, and memory is bounded by the batch."""
READ_BYTES = 256 * 1024
Cost = tuple[str, str, float, float, float]
"""Arguments of `Meter.add`: name, kind, CPU, wall and longest step in seconds."""


def reader() -> FrameReader:
    """Return a reader for one end."""
    return FrameReader(frame_bytes_max=FRAME_BYTES_MAX, head_bytes_max=FRAME_BYTES_MAX)


def job_frame(job: Job) -> bytes:
    """Return the order to run a job."""
    inputs = [[[to_plain(data), kind] for data, kind in each] for each in job.inputs]
    return encode_json({"run": [to_plain(record) for record in job.records], "inputs": inputs})


def job_of(head: dict[str, Any]) -> Job:
    """Return the job of such a frame."""
    records = tuple(from_plain(TaskRecord, plain) for plain in head["run"])
    kind = tuple[tuple[tuple[bytes, str], ...], ...]
    return Job(records, from_plain(kind, head["inputs"]))


def done_frame(job: str, finishes: Sequence[Finish], cost: Cost | None = None) -> bytes:
    """Return the news that a job has ended, and what its run cost."""
    head = {"done": job, "finishes": [to_plain(finish) for finish in finishes]}
    return encode_json(head if cost is None else {**head, "cost": cost})


def cost_of(meter: Meter) -> Cost | None:
    """Return what the one run cost that this meter has measured; None: it never began."""
    for one in meter.told():
        return (one["name"], one["kind"], one["cpu_s"], one["wall_s"], one["step_s_max"])
    return None


def finishes_of(head: dict[str, Any]) -> list[Finish]:
    """Return how the job of such a frame ended."""
    return [from_plain(Finish, plain) for plain in head["finishes"]]
