"""What a manifest says about messages, and that saying nothing means nothing.

Place:  make test
Rule:   only what loading a manifest promises; what runs of it is tested with whole sites.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mergepoint.bus.capabilities import WHO_CAN
from mergepoint.core.errors import ManifestRefused
from mergepoint.manifest.checks.bus import ABLE, ENGINES, LACKS
from mergepoint.manifest.load import inspect
from mergepoint.manifest.messages import TaskWorkers
from mergepoint.manifest.resolve_app import TASK_THREADS_AUTO_MAX
from mergepoint.manifest.resolve_bus import app_of_task
from mergepoint.manifest.settings import list_settings
from mergepoint.manifest.site import Site

Load = Callable[..., Site]
APP = '[apps.wiki]\nwsgi = "wiki:app"\n'


@pytest.fixture(autouse=True)
def modules(tmp_path: Path) -> None:
    (tmp_path / "wiki.py").write_text("app = print\n")
    (tmp_path / "jobs.py").write_text("")


def test_a_site_that_says_nothing_of_messages_has_no_bus(load: Load) -> None:
    site = load(APP)

    assert site.bus is None
    assert (site.subscriptions, site.schedules, site.apps["wiki"].tasks) == ((), (), None)


@pytest.mark.parametrize(
    "more",
    [
        "[bus]\n",
        '[[subscriptions]]\non = "a"\napp = "wiki"\npost = "/in"\n',
    ],
)
def test_anything_about_messages_switches_the_bus_on(load: Load, more: str) -> None:
    bus = load(APP + more).bus

    assert bus is not None
    assert bus.url.is_own_hub
    assert bus.durable


def test_tasks_switch_the_bus_on_and_have_their_own_numbers(load: Load) -> None:
    site = load(APP + 'tasks = "jobs"\ntask_processes = 2\ntask_queues = "mail"\n')

    assert site.bus is not None
    assert site.apps["wiki"].tasks == TaskWorkers("jobs", 2, 4, ("mail",))


def test_threads_of_tasks_may_be_left_to_what_is_measured(load: Load) -> None:
    workers = load(APP + 'tasks = "jobs"\ntask_threads = "auto"\n').apps["wiki"].tasks

    assert workers == TaskWorkers("jobs", 1, TASK_THREADS_AUTO_MAX, (), threads_auto=True)


def test_a_schedule_names_a_task_of_an_app(load: Load) -> None:
    text = APP + 'tasks = "jobs"\n[[schedules]]\ntask = "wiki.nightly"\ncron = "15 3 * * *"\n'
    schedule = load(text).schedules[0]

    assert (schedule.task, schedule.timezone, schedule.missed) == ("wiki.nightly", "UTC", "one")


@pytest.mark.parametrize(
    ("task", "app"),
    [
        ("mail.send", "mail"),  # the app's name
        ("tracker.jobs.nightly", "tickets"),  # the module it declares
        ("tracker.other.nightly", "tickets"),  # a module beside it
        ("nightly", ""),
    ],
)
def test_a_schedule_finds_its_app_by_the_name_of_the_task(task: str, app: str) -> None:
    assert app_of_task(task, {"mail": "outgoing", "tickets": "tracker.jobs"}) == app


def test_the_only_app_with_tasks_is_meant_by_any_schedule() -> None:
    assert app_of_task("nightly", {"tickets": "tracker.jobs"}) == "tickets"


def test_secrets_of_an_engine_come_from_the_environment_and_are_not_shown(load: Load) -> None:
    url = "postgresql://site:${BUS_PASSWORD}@db.example.org/bus"
    bus = load(APP + f'[bus]\nurl = "{url}"\n', environ={"BUS_PASSWORD": "hunter2"}).bus

    assert bus is not None
    assert bus.url.value == "postgresql://site:hunter2@db.example.org/bus"
    assert "hunter2" not in repr(bus)


def test_the_whole_url_may_stand_in_a_variable(load: Load) -> None:
    text = APP + '[bus]\nurl = "${BUS_URL}"\n'
    url = "postgresql://site:hunter2@db.example.org/bus"
    bus = load(text, environ={"BUS_URL": url}, profile="production").bus

    assert bus is not None
    assert bus.url.value == url
    with pytest.raises(ManifestRefused, match="is no engine of the bus in its variable"):
        load(text, environ={"BUS_URL": "kafka://hunter2"})


def test_a_password_in_the_url_is_a_warning_in_development_and_never_printed(
    load: Load, tmp_path: Path
) -> None:
    url = "postgresql://site:hunter2@db.example.org/bus"
    site = load(APP + f'[bus]\nurl = "{url}"\n')

    assert "holds a password" in "\n".join(map(str, site.problems))
    file = tmp_path / "mergepoint.toml"
    with pytest.raises(ManifestRefused) as refused:
        load(APP + f'[bus]\nurl = "{url}"\n', profile="production")
    rows = list_settings(inspect(file, profile="development", environ={}))
    everything = "\n".join([str(refused.value), *map(str, site.problems), *map(repr, rows)])
    assert "hunter2" not in everything


def test_the_queue_of_a_subscription_has_the_same_name_every_time(load: Load) -> None:
    text = APP + '[[subscriptions]]\non = "tickets.*"\napp = "wiki"\npost = "/in"\n'
    first, second = (load(text).subscriptions[0] for _ in range(2))

    assert first == second
    assert first.queue.startswith("mp.to.wiki.tickets-any-")


def test_a_profile_replaces_the_engine(load: Load) -> None:
    text = APP + '[bus]\n[profiles.production.bus]\ndurability = "fast"\n'

    durable = [load(text, profile=name).bus for name in ("development", "production")]
    assert [bus.durable for bus in durable if bus] == [True, False]


def test_engines_that_are_refused_lack_what_the_bus_says_they_lack() -> None:
    engines = {engine for engine, _, _ in ENGINES.values()}

    assert set(LACKS) == {name for name in engines if name not in WHO_CAN["bind"]}
    assert WHO_CAN["bind"] == WHO_CAN["queues"] == ABLE


def test_settings_show_the_tables_of_messages_with_their_lines(load: Load, tmp_path: Path) -> None:
    load(APP + '[bus]\n\n[[subscriptions]]\non = "a.>"\napp = "wiki"\npost = "/in"\n')
    rows = list_settings(inspect(tmp_path / "mergepoint.toml", profile="development", environ={}))
    shown = {row.path: (row.value, row.origin) for row in rows}

    assert shown["subscriptions[0].on"] == ('"a.>"', "mergepoint.toml:6")
    assert shown["bus.attempts_max"] == ("5", "default")
