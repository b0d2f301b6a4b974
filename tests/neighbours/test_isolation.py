"""E5: what a process of a site may do, know and reach is what its app was given, and no more.

Place:  /proc of every process of a real site
Rule:   the kernel is asked, not the manifest.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from mergepoint_testkit.raw import exchange
from mergepoint_testkit.sites import RunningSite, command

from .conftest import MANIFEST, USER, neighbours, raw_command, some_directory

ENVIRONMENT = {"NEIGHBOURS_TOKEN": "not-for-the-apps", "LANG": "C.UTF-8"}
INHERITED = {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"}
TOLD = {"LISTEN_FDS", "LISTEN_FDNAMES", "PORT", "HOST", "SCRIPT_NAME"}
FILES_MAX, MEMORY_BYTES_MAX, PROCESSES_MAX = 333, 256 << 20, 777
LIMITS = (
    f"limits = {{ files = {FILES_MAX}, memory = {MEMORY_BYTES_MAX}, processes = {PROCESSES_MAX} }}"
)
DATA_BYTES_MAX = 2 * MEMORY_BYTES_MAX + (512 << 20)


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningSite]:
    """One site to be looked at; its supervisor knows what the apps must not."""
    own = 'wsgi = "bad:app"\nprocesses = 2\naffinity = "sticky"\nenv = { OWN = "mine" }'
    with neighbours(f"{own}\n{LIMITS}", ENVIRONMENT) as site:
        yield site


def everyone(site: RunningSite) -> dict[str, list[int]]:
    """Return the processes of the site by what they are, without the supervisor."""
    return {
        "edge": [site.status()["edge"]["pid"]],
        "good": site.pids("good"),
        "bad": site.pids("bad"),
    }


def fields_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def limits_of(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


def environment_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def run_dir(site: RunningSite) -> Path:
    return site.directory / ".mergepoint" / "run"


def test_every_process_has_no_way_to_more_rights_and_a_session_of_its_own(
    shared: RunningSite,
) -> None:
    pids = [pid for found in everyone(shared).values() for pid in found]

    assert len(pids) == 4
    for pid in pids:
        assert fields_of(pid)["NoNewPrivs"] == "1"
        assert os.getsid(pid) == os.getpgid(pid) == pid


def test_a_worker_has_the_limits_of_its_app_and_its_neighbour_has_not(
    shared: RunningSite,
) -> None:
    found = everyone(shared)

    bad, good = limits_of(found["bad"][0]), limits_of(found["good"][0])

    assert bad["Max open files"] == [str(FILES_MAX)] * 2
    assert bad["Max processes"] == [str(PROCESSES_MAX)] * 2
    assert bad["Max data size"] == [str(DATA_BYTES_MAX)] * 2
    for name in ("Max open files", "Max processes", "Max data size"):
        assert good[name] == limits_of(os.getpid())[name]


def test_no_process_sees_the_environment_of_the_supervisor(
    shared: RunningSite,
) -> None:
    found = everyone(shared)

    for what, pids in found.items():
        seen = environment_of(pids[0])
        allowed = INHERITED | TOLD | ({"OWN"} if what == "bad" else set())
        unknown = {name for name in seen if not name.startswith("MERGEPOINT_")} - allowed
        assert not unknown, f"{what} sees {unknown}"
        assert ENVIRONMENT["NEIGHBOURS_TOKEN"] not in seen.values()
        assert seen["LANG"] == ENVIRONMENT["LANG"]
    assert environment_of(found["bad"][0])["OWN"] == "mine"


def test_the_key_of_the_cookies_is_in_no_argument_variable_log_or_answer(
    shared: RunningSite,
) -> None:
    answer = exchange(shared.port, b"GET /bad/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    state = shared.directory / ".mergepoint"
    secret = (state / "secret").read_bytes()
    forms = [secret, base64.b64encode(secret), base64.urlsafe_b64encode(secret).rstrip(b"=")]
    forms.append(secret.hex().encode())

    pids = [shared.pid, *(pid for found in everyone(shared).values() for pid in found)]
    places = [Path(f"/proc/{pid}/{name}") for pid in pids for name in ("cmdline", "environ")]
    places += [*(state / "logs").iterdir(), shared.directory / "site.log"]
    told = [place.read_bytes() for place in places] + [answer.raw]
    told += [shared.run("status", "--json").stdout.encode()]

    assert b"set-cookie" in answer.raw.lower()
    assert not [form for form in forms for text in told if form in text]
    assert stat.S_IMODE((state / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((run_dir(shared) / "snapshot.json").stat().st_mode) == 0o600


def test_an_app_with_its_own_user_is_that_user_and_reaches_nothing_of_the_site(
    site_of: Callable[..., RunningSite], other_user: str
) -> None:
    site = site_of(
        f'{raw_command(python=other_user)}\nprocesses = 1\nuser = "{USER}"', {"HOME": "/root"}
    )
    entry = pwd.getpwnam(USER)
    (pid,) = site.pids("bad")
    fields, seen = fields_of(pid), environment_of(pid)
    run, state = run_dir(site), site.directory / ".mergepoint"
    (spools,) = {Path(f"/proc/{pid}/fd/1").readlink().parent}
    places = [run, *run.iterdir(), state / "secret", state / "logs", spools]
    own = Path(f"{run}.u")

    reached = reach(site, [str(place) for place in (*places, own)])

    assert fields["Uid"].split() == [str(entry.pw_uid)] * 4
    assert fields["Gid"].split() == [str(entry.pw_gid)] * 4
    assert set(fields["Groups"].split()) == {
        str(gid) for gid in os.getgrouplist(USER, entry.pw_gid)
    }
    assert seen["HOME"] == entry.pw_dir
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert len([place for place in places if place.name.endswith(".sock")]) >= 3
    assert {place: how for place, how in reached.items() if how == "reached"} == {}
    assert stat.S_IMODE((own / USER).stat().st_mode) == 0o700


def reach(site: RunningSite, paths: list[str]) -> dict[str, str]:
    """Have the bad app itself try to open or connect to each path."""
    body = json.dumps(paths).encode()
    head = f"POST /bad/reach HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    answer = exchange(site.port, head.encode() + b"Connection: close\r\n\r\n" + body, total_s=10)
    found: dict[str, str] = json.loads(
        answer.raw[answer.raw.index(b"{") : answer.raw.rindex(b"}") + 1]
    )
    assert set(found) == set(paths)
    return found


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_output_waits_in_private_memory_and_goes_with_the_site(
    site_of: Callable[..., RunningSite], how: str
) -> None:
    site = site_of('wsgi = "bad:app"\nprocesses = 1')
    (pid,) = site.pids("bad")
    spool = Path(f"/proc/{pid}/fd/1").readlink()

    assert spool.parent.parent == Path("/dev/shm")
    assert stat.S_IMODE(spool.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(spool.stat().st_mode) == 0o600
    if how == "kill":
        site.process.kill()
        site.process.wait(10)
        assert spool.exists(), "the next supervisor reads on"
        site = site_of('wsgi = "bad:app"\nprocesses = 1')
    site.stop()
    assert not spool.parent.exists()


def test_a_limit_of_processes_that_would_not_hold_is_told_by_check(other_user: str) -> None:
    limit = "limits = { processes = 10 }"
    with some_directory() as directory:
        unbounded = checked(directory, f"{raw_command(python=other_user)}\n{limit}")
        bounded = checked(directory, f'{raw_command(python=other_user)}\n{limit}\nuser = "{USER}"')

    assert "does not apply this limit to root" in unbounded
    assert "does not apply this limit" not in bounded


def checked(directory: Path, bad: str) -> str:
    """Return what ``mergepoint check`` says of a site with this bad app."""
    file = directory / "mergepoint.toml"
    text = MANIFEST.format(bad=bad, directory=directory / "apps")
    file.write_text(text.replace("{port}", "8000"))
    done = subprocess.run(command(file, "check"), capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_an_app_with_its_own_user_cannot_command_the_edge_through_its_own_socket(
    site_of: Callable[..., RunningSite], other_user: str
) -> None:
    site = site_of(f'{raw_command(python=other_user)}\nprocesses = 1\nuser = "{USER}"')
    edge = psutil.Process(site.status()["edge"]["pid"])
    (control,) = run_dir(site).glob("edge.*.sock")
    (own,) = Path(f"{run_dir(site)}.u").glob("*/*.sock")
    own.unlink()
    own.symlink_to(control)
    order = b'{"id": 1, "verb": "drain", "timeout_s": 0}\n'
    head = f"POST /bad/ HTTP/1.1\r\nHost: x\r\nContent-Length: {len(order)}\r\n"

    exchange(site.port, head.encode() + b"Connection: close\r\n\r\n" + order, total_s=5)
    gone, _ = psutil.wait_procs([edge], timeout=2)

    assert not gone, "the edge obeyed a request body"
