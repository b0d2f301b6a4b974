"""A worker that cannot serve says why in one line: what, where, and what to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mergepoint_testkit.environments import environment
from mergepoint_testkit.workers import MOUNT, Workers

from mergepoint.host import boot

EXIT_CONFIG = 78
FRAMEWORKS = Path(__file__).parent / "frameworks"

BROKEN = {
    "a missing package": (
        "import redis_that_is_not_there\n", "app:application",
        "ModuleNotFoundError: No module named 'redis_that_is_not_there'", "app.py:1",
        "-m pip install redis_that_is_not_there",
    ),
    "a missing module": (
        "application = None\n", "ap:application",
        "ModuleNotFoundError: No module named 'ap'", "", "has no module `ap`; did you mean `app`?",
    ),
    "a syntax error": (
        "def application(:\n    pass\n", "app:application", "SyntaxError", "app.py:1",
        "correct the line",
    ),
    "a wrong attribute": (
        "def application(e, s): ...\n", "app:aplication",
        "`app:aplication` names `aplication`, which the module does not have; "
        "did you mean `application`?",
        "app.py:1", "written module:attribute",
    ),
    "an exception deep in the app's own code": (
        "import json\ndef f():\n    json.loads('{')\nf()\n", "app:application",
        "JSONDecodeError", "app.py:3", "mergepoint logs app",
    ),
    "a module that ends the process": (
        "import sys\nsys.exit(3)\n", "app:application", "SystemExit", "app.py:2", "__main__",
    ),
    "something that is not callable": (
        "application = 7\n", "app:application", "is a int, not an application", "app.py:1",
        "factory = true",
    ),
    "a factory that fails": (
        "def application():\n    raise RuntimeError('no database')\n", "app:application",
        "the factory `app:application` failed: RuntimeError: no database", "app.py:2", "logs app",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_it_names_the_reason_the_line_and_the_next_step(
    workers: Workers, tmp_path: Path, what: str
) -> None:
    source, target, reason, where, advice = BROKEN[what]
    (tmp_path / "app.py").write_text(source)

    worker = workers.start(target, where=tmp_path, wait=False, factory="factory" in what)

    assert worker.process.wait(20) == EXIT_CONFIG
    told = worker.reported("failure")
    assert reason in told["reason"]
    assert told["where"].endswith(where)
    assert advice in told["next"]
    assert worker.output.splitlines()[-1].startswith("mergepoint-failure: ")
    assert "importlib" not in worker.output, "frames of the importer hide the user's own"


def test_uwsgi_reports_an_import_error_like_the_others(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import nothing_like_it\n")

    worker = workers.start("app:application", where=tmp_path, wait=False, server="uwsgi")

    assert worker.process.wait(20) == EXIT_CONFIG
    told = worker.reported("failure")
    assert told["where"].endswith("app.py:1")
    assert "/bin/python -m pip install nothing_like_it" in told["next"]


def test_a_failed_lifespan_is_reported_and_ends_the_worker(
    workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await receive()\n"
        "    await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    )

    for server in ("granian", "uvicorn", "hypercorn"):
        worker = workers.start(
            "app:app", where=tmp_path, wait=False, interface="asgi", server=server
        )

        assert worker.process.wait(20) not in (0, None)
        assert "no database" in worker.reported("failure")["reason"]


def test_a_wrong_environment_names_the_variable(workers: Workers, tmp_path: Path) -> None:
    worker = workers.start(where=tmp_path, wait=False, environ={"MERGEPOINT_HOST": "{"})

    assert worker.process.wait(20) == EXIT_CONFIG
    assert "MERGEPOINT_HOST is not JSON" in worker.reported("failure")["reason"]


def test_a_directory_that_is_not_there_is_named(workers: Workers, tmp_path: Path) -> None:
    worker = workers.start("app:app", where=tmp_path / "gone", wait=False)

    assert worker.process.wait(20) == EXIT_CONFIG
    assert str(tmp_path / "gone") in worker.reported("failure")["reason"]


def test_no_server_at_all_gives_the_pip_command(workers: Workers, tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"

    worker = workers.start("on_wsgi:app", where=FRAMEWORKS, wait=False, python=python)

    assert worker.process.wait(20) == EXIT_CONFIG
    told = worker.reported("failure")
    assert "no server for wsgi" in told["reason"]
    assert told["next"] == f"{python} -m pip install granian"


def test_a_server_that_is_missing_is_replaced_and_said(workers: Workers) -> None:
    python = environment("pyramid") / "bin" / "python"  # has Granian and nothing else

    worker = workers.start("on_wsgi:app", where=FRAMEWORKS, server="gunicorn", python=python)

    assert worker.get(MOUNT + "/item/7") == "item 7"
    assert "server gunicorn is missing or too old" in worker.output
    assert "using granian" in worker.output


def test_the_app_directory_comes_first_and_mergepoint_not_at_all(
    workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "wsgi.py").write_text(
        "import sys\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    own = [n for n in sys.modules if n == 'mergepoint' or n.startswith('mergepoint.')]\n"
        "    ours = [p for p in sys.path if 'mergepoint' in p]\n"
        "    return [repr((sys.path[0], own, ours)).encode()]\n"
    )

    worker = workers.start("wsgi:application", where=tmp_path)

    assert worker.get(MOUNT + "/") == repr((str(tmp_path), [], []))


def test_a_worker_is_one_process_that_nothing_outlives(workers: Workers) -> None:
    worker = workers.start("on_wsgi:app", where=FRAMEWORKS)
    pid = worker.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()

    assert children == ""
    os.kill(pid, signal.SIGKILL)
    assert worker.process.wait(5) == -signal.SIGKILL
    assert not worker.ready()


def test_uwsgi_workers_end_with_their_master(workers: Workers) -> None:
    worker = workers.start("on_wsgi:app", where=FRAMEWORKS, server="uwsgi")
    pid = worker.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert children
    os.kill(pid, signal.SIGKILL)
    worker.process.wait(5)

    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a uWSGI worker outlived its master"
        time.sleep(0.05)


def test_a_socket_left_by_an_earlier_process_is_replaced(workers: Workers) -> None:
    first = workers.start("on_wsgi:app", where=FRAMEWORKS)
    first.process.kill()
    first.process.wait(5)
    assert first.socket.exists()

    again = workers.start(
        "on_wsgi:app",
        where=FRAMEWORKS,
        environ={"MERGEPOINT_SOCKET": str(first.socket)},
        wait=False,
    )
    again.socket = first.socket
    again.wait_ready()

    assert again.get(MOUNT + "/item/7") == "item 7"


def test_the_syntax_runs_on_python_three_eight() -> None:
    import ast

    host = Path(sys.modules["mergepoint_testkit"].__file__ or "").parents[3] / "src/mergepoint/host"

    for path in host.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 8))


BUS_ELSEWHERE = json.dumps({"url": "amqp://broker/", "address": "app/0", "site": "acme"})
CONNECTS = "import mergepoint\nsite = mergepoint.connect()\ndef application(e, s): ...\n"


def test_an_environment_without_the_library_of_the_bus_names_the_extra_and_the_command(
    workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(CONNECTS)

    worker = workers.start(
        "app:application", where=tmp_path, wait=False, environ={"MERGEPOINT_BUS": BUS_ELSEWHERE}
    )

    assert worker.process.wait(20) == EXIT_CONFIG
    told = worker.reported("failure")
    assert "the bus of this site is amqp://" in told["reason"]
    assert "has no aio_pika: the extra rabbitmq of Mergepoint brings it" in told["reason"]
    assert told["where"].endswith("app.py:2")
    assert told["next"].endswith("/bin/python -m pip install 'mergepoint[rabbitmq]'")


def test_an_app_that_does_not_use_the_bus_needs_no_library_of_it(
    workers: Workers, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(
        "def application(environ, start):\n    start('200 OK', [])\n    return [b'here']\n"
    )
    worker = workers.start(
        "app:application", where=tmp_path, environ={"MERGEPOINT_BUS": BUS_ELSEWHERE}
    )
    assert "here" in worker.get(f"{MOUNT}/")


def test_task_workers_without_the_library_of_the_bus_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text(CONNECTS)
    tasks = json.dumps({"app": "app", "module": "jobs", "directory": str(tmp_path)})
    told = {"MERGEPOINT_BUS": BUS_ELSEWHERE, "MERGEPOINT_TASKS": tasks}
    ended = subprocess.run(
        [environment("matrix") / "bin" / "python", boot.__file__, "tasks"],
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == EXIT_CONFIG
    assert "pip install 'mergepoint[rabbitmq]'" in ended.stderr
    assert "Traceback" not in ended.stderr
