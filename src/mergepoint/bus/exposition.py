"""Figures of the bus and of tasks in Prometheus' text format 0.0.4.

Place:  bus.doorway, bus.gateway, tasks.runner -> [bus.exposition] -> assembly.figures
Rule:   pure; every family is named in one table, with its type and what it means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from mergepoint.bus.counts import BOUNDS_S, Count

FAMILIES: Mapping[str, tuple[str, str]] = {
    "mergepoint_bus_call_duration_seconds": (
        "histogram", "Calls of a process to the bus, by operation and outcome."),
    "mergepoint_gateway_published_total": (
        "counter", "Messages that came over HTTP, by outcome: ok, or the code of the refusal."),
    "mergepoint_gateway_delivered_total": (
        "counter", "Posts of subscriptions, by outcome: done, again, dead, absent."),
    "mergepoint_outbox_relayed_total": ("counter", "Rows of an outbox that the bus has taken."),
    "mergepoint_outbox_rows": ("gauge", "Rows of an outbox: waiting, or parked for a person."),
    "mergepoint_outbox_oldest_seconds": ("gauge", "Age of the oldest row that waits."),
    "mergepoint_queue_messages": ("gauge", "Messages of a queue: ready, delayed, leased, dead."),
    "mergepoint_queue_oldest_seconds": ("gauge", "Age of the oldest message of a queue."),
    "mergepoint_tasks": ("gauge", "Tasks in the ledger, by queue and state."),
    "mergepoint_tasks_oldest_seconds": (
        "gauge", "How long the oldest task of a queue has been in a state."),
    "mergepoint_task_calls_total": ("counter", "Runs of a task that have ended."),
    "mergepoint_task_cpu_seconds_total": ("counter", "CPU seconds of a task's runs."),
    "mergepoint_task_wall_seconds_total": ("counter", "Wall seconds of a task's runs."),
    "mergepoint_task_threads": ("gauge", "Blocking tasks that a task worker runs at once."),
}  # fmt: skip
"""Type and meaning, in the order they are printed."""

Sample = tuple[str, Mapping[str, str], float]
"""Name (with the suffix of a histogram's part), labels, value."""


def of_counts(counts: Mapping[str, Mapping[str, Count]], process: str) -> list[Sample]:
    """Return the samples of `Bus.counts()`."""
    family = "mergepoint_bus_call_duration_seconds"
    made: list[Sample] = []
    for operation, outcomes in counts.items():
        for outcome, count in outcomes.items():
            labels = {"process": process, "operation": operation, "outcome": outcome}
            bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
            for bound, below in zip(bounds, accumulate(count.buckets), strict=True):
                made.append((f"{family}_bucket", {**labels, "le": bound}, below))
            made.append((f"{family}_sum", labels, count.seconds))
            made.append((f"{family}_count", labels, count.calls))
    return made


def text(samples: Iterable[Sample]) -> str:
    """Return samples as Prometheus reads them, families in the order of the table.

    Two of one name and labels are added: they come from parts of one process. What is no family
    of the table is left out.
    """
    by_family: dict[str, dict[str, float]] = {}
    for name, labels, value in samples:
        family = _family(name)
        if family in FAMILIES:
            lines = by_family.setdefault(family, {})
            line = f"{name}{_labels(labels)}"
            lines[line] = lines.get(line, 0.0) + float(value)
    made: list[str] = []
    for family, (kind, meaning) in FAMILIES.items():
        if family in by_family:
            made += [f"# HELP {family} {meaning}", f"# TYPE {family} {kind}"]
            made += [f"{line} {_number(value)}" for line, value in by_family[family].items()]
    return "".join(f"{line}\n" for line in made)


def from_plain(told: Any) -> list[Sample]:  # Any: JSON of another process
    """Return the samples of a document; what is none is left out."""
    made: list[Sample] = []
    for one in told if isinstance(told, list) else []:
        try:
            name, labels, value = one
            made.append((str(name), {str(k): str(v) for k, v in labels.items()}, float(value)))
        except (TypeError, ValueError, AttributeError):
            continue
    return made


def _family(name: str) -> str:
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and FAMILIES.get(base, ("",))[0] == "histogram":
            return base
    return name


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() else repr(value)
