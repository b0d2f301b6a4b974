"""What a site tells of its bus and its tasks: metrics, and what they say about sizes."""

from __future__ import annotations

import re

from mergepoint_testkit.message_site import MessageSite


def metrics(site: MessageSite) -> dict[str, float]:
    text: str = site.json("metrics")["text"]
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_metrics_have_the_bus_the_gateway_and_the_ledger_beside_the_edge(
    site: MessageSite,
) -> None:
    site.ask("POST", "/tickets/", {"id": 1})
    asked = site.json("tasks", "run", "jobs.tidy", "--wait-s", "30")
    assert asked["state"] == "completed"

    told = metrics(site)

    assert any(name.startswith("mergepoint_edge_") for name in told)
    done = [
        value
        for name, value in told.items()
        if re.match(r'mergepoint_bus_call_duration_seconds_count\{process="tickets/\d+"', name)
        and 'operation="publish",outcome="ok"' in name
    ]
    assert sum(done) >= 1
    assert told['mergepoint_tasks{queue="tickets",state="completed"}'] >= 1
    assert told['mergepoint_tasks_oldest_seconds{queue="tickets",state="completed"}'] >= 0
    assert any(name.startswith("mergepoint_queue_messages{") for name in told)
    ran = 'mergepoint_task_calls_total{process="tickets.tasks/0",task="jobs.tidy"}'
    assert told[ran] >= 1
    assert told[ran.replace("calls", "wall_seconds")] > 0
    assert told[ran.replace("calls", "cpu_seconds")] > 0


def test_deliveries_of_the_gateway_are_counted_by_outcome(site: MessageSite) -> None:
    def delivered() -> float:
        name = r'mergepoint_gateway_delivered_total\{subscription="[^"]+",outcome="done"\}'
        return sum(value for key, value in metrics(site).items() if re.fullmatch(name, key))

    before = delivered()
    site.ask("POST", "/tickets/", {"id": 2})
    for _ in range(50):
        if delivered() > before:
            return
    raise AssertionError("the delivery was never counted")


def test_tasks_are_weighed_as_routes_are(site: MessageSite) -> None:
    site.json("tasks", "run", "jobs.tidy", "--wait-s", "30")

    weighed = site.json("balance")["tasks"]["tickets"]

    assert weighed["processes"] >= 1
    assert weighed["threads_auto"] is False
    (tidy,) = [one for one in weighed["routes"] if one["name"] == "jobs.tidy"]
    assert (tidy["kind"], tidy["calls"] >= 1) == ("thread", True)
    assert 0 <= tidy["cpu_share"] <= 1
