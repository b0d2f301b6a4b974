"""What a manifest means: defaults by kind and mode, and the short form of every key.

Place:  make test
Rule:   every test writes a real file and loads it through the public door.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mergepoint.manifest.site import (
    App,
    Balance,
    BalanceBy,
    Kind,
    Member,
    Mode,
    Mount,
    Origin,
    PrefixMode,
    Processes,
    Redirect,
    Site,
)

TICKETS = '[apps.tickets]\nwsgi = "tickets:app"\n'
Load = Callable[..., Site]


def test_three_lines_make_a_site(load: Load, tmp_path: Path) -> None:
    site = load(TICKETS)
    app = site.apps["tickets"]

    assert (site.mode, site.directory, site.state_dir) == (
        Mode.DEVELOPMENT,
        tmp_path,
        tmp_path / ".mergepoint",
    )
    assert [(door.name, door.address, door.tls) for door in site.listeners] == [
        ("http", "127.0.0.1:8000", False)
    ]
    assert (app.kind, app.target, app.mounts) == (Kind.WSGI, "tickets:app", (Mount("/tickets"),))
    assert (app.threads, app.concurrency, app.processes) == (4, 4, Processes(1, 1, 1))
    assert (app.directory, app.watch, app.prefix) == (tmp_path, (tmp_path,), PrefixMode.HOST)
    assert app.origin == Origin("mergepoint.toml", 1)
    assert app.python is not None
    assert app.python.is_file()


@pytest.mark.parametrize(
    ("keys", "kind", "concurrency", "prefix", "production"),
    [
        ('wsgi = "a:b"', Kind.WSGI, 4, "host", 2),
        ('wsgi = "a:b"\nthreads = 9', Kind.WSGI, 9, "host", 2),
        ('asgi = "a:b"', Kind.ASGI, 256, "host", 2),
        ('command = "sh x"', Kind.COMMAND, 64, "strip", 1),
        ('together = [{ path = "/", wsgi = "a:b" }]', Kind.TOGETHER, 4, "host", 2),
        ('together = [{ path = "/", asgi = "a:b" }]', Kind.TOGETHER, 256, "host", 2),
        ('http = "http://127.0.0.1:1"', Kind.HTTP, 256, "strip", 1),
        ('redirect = "/x"', Kind.REDIRECT, 256, "keep", 1),
    ],
)
def test_defaults_follow_the_kind_and_the_mode(
    one: Callable[..., App], keys: str, kind: Kind, concurrency: int, prefix: str, production: int
) -> None:
    app = one(keys)

    assert (app.kind, app.concurrency, app.prefix.value) == (kind, concurrency, prefix)
    assert app.processes.start == 1
    assert one(keys, profile="production").processes.start == production


def test_a_factory_is_a_target_with_brackets(one: Callable[..., App]) -> None:
    app = one('asgi = "shop.web:make_app()"')

    assert (app.target, app.factory) == ("shop.web:make_app", True)


def test_a_command_is_split_like_in_a_shell(one: Callable[..., App]) -> None:
    assert one("command = \"node 'my server.js' --port {port}\"").command == (
        "node",
        "my server.js",
        "--port",
        "{port}",
    )
    assert one('command = ["node", "a b"]').command == ("node", "a b")


def test_together_members_keep_their_interface_and_path(one: Callable[..., App]) -> None:
    app = one('together = [{ path = "/a/", wsgi = "a:b" }, { path = "/", asgi = "c:d()" }]')

    assert app.members == (
        Member("/a", "a:b", Kind.WSGI),
        Member("/", "c:d", Kind.ASGI, factory=True),
    )


@pytest.mark.parametrize(
    ("keys", "mounts"),
    [
        ('at = "/a/"', [("*", "/a")]),
        ('at = ["/", "/b/c"]', [("*", "/"), ("*", "/b/c")]),
        ('at = "Example.ORG"', [("example.org", "/")]),
        ('at = "*.example.org/x"', [("*.example.org", "/x")]),
        ('host = "bücher.example"', [("xn--bcher-kva.example", "/")]),
        (
            'host = ["a.example", "b.example"]\nat = "/x"',
            [("a.example", "/x"), ("b.example", "/x")],
        ),
        (
            'host = "a.example"\nat = ["/x", "b.example/y"]',
            [("a.example", "/x"), ("b.example", "/y")],
        ),
    ],
)
def test_mounts_are_paths_hosts_or_both(
    one: Callable[..., App], keys: str, mounts: list[tuple[str, str]]
) -> None:
    app = one(f'wsgi = "a:b"\n{keys}')

    assert [(mount.host, mount.path) for mount in app.mounts] == mounts


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("3", Processes(3, 3, 3)),
        ("{ min = 2, max = 5 }", Processes(2, 2, 5)),
        ("{ min = 2, max = 5, start = 4 }", Processes(4, 2, 5)),
        ("{ max = 4 }", Processes(1, 1, 4)),
        ('"auto"', Processes(1, 1, 1)),
    ],
)
def test_processes_have_short_and_long_forms(
    one: Callable[..., App], written: str, expected: Processes
) -> None:
    assert one(f'wsgi = "a:b"\nprocesses = {written}').processes == expected


def test_auto_is_at_least_two_in_production(one: Callable[..., App]) -> None:
    app = one('wsgi = "a:b"\nprocesses = "auto"', profile="production")

    assert app.processes.min == app.processes.max >= 2


def test_sizes_and_durations_are_text_with_a_unit_or_numbers(one: Callable[..., App]) -> None:
    app = one(
        'wsgi = "a:b"\nbody = "1.5GB"\ntimeout_s = "2m"\n'
        'limits = { memory = "512MiB", cpu = 0.5 }\n'
        'queue = { wait_s = "500ms" }\nmax_requests = 1000\ntimeouts = { ready_s = 90 }'
    )

    assert app.body_bytes_max == 1_500_000_000
    assert (app.timeouts.request_s, app.timeouts.ready_s, app.queue.wait_s) == (120.0, 90.0, 0.5)
    assert (app.limits.memory_bytes_max, app.limits.cpu_share) == (512 << 20, 0.5)
    assert (app.restart.requests_max, app.restart.requests_jitter) == (1000, 100)
    assert one('wsgi = "a:b"\nbody = false').body_bytes_max is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("least", Balance()),
        ("path", Balance(by=BalanceBy.PATH)),
        ("path:3", Balance(by=BalanceBy.PATH, segments=3)),
        ("header:X-Tenant", Balance(by=BalanceBy.HEADER, name="x-tenant")),
        ("cookie:Sid", Balance(by=BalanceBy.COOKIE, name="Sid")),
        ("sticky", Balance(by=BalanceBy.STICKY)),
    ],
)
def test_affinity_says_how_requests_choose_a_process(
    one: Callable[..., App], written: str, expected: Balance
) -> None:
    assert one(f'wsgi = "a:b"\naffinity = "{written}"').balance == expected


def test_a_redirect_is_a_url_or_a_table(one: Callable[..., App]) -> None:
    assert one('redirect = "https://example.org"').redirect == Redirect("https://example.org")
    table = one('redirect = { to = "/new", status = 302, keep_path = false }')
    assert table.redirect == Redirect("/new", 302, keep_path=False)


def test_a_virtual_environment_beside_the_app_is_used(
    one: Callable[..., App], tmp_path: Path
) -> None:
    python = tmp_path / "wiki" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)

    assert one('wsgi = "a:b"\ndirectory = "wiki"').python == python
    assert one('wsgi = "a:b"\nvenv = "wiki/.venv"').python == python


def test_a_command_with_a_venv_finds_its_programs_there_first(
    one: Callable[..., App], tmp_path: Path
) -> None:
    app = one('command = "gunicorn x:y"\nvenv = "env"', environ={"PATH": "/usr/bin"})

    assert app.environment["PATH"] == f"{tmp_path}/env/bin:/usr/bin"
    assert app.environment["VIRTUAL_ENV"] == f"{tmp_path}/env"


def test_listeners_are_named_by_what_they_speak(load: Load, certify, tmp_path: Path) -> None:
    certify(tmp_path)
    site = load(
        '[site]\nlisten = [":8000", "https://0.0.0.0:8443", "0.0.0.0:443", "127.0.0.1:1",\n'
        '  { address = "127.0.0.1:9000", admin = true }, "unix:/tmp/x.sock"]\n'
        '[site.tls]\ncertificates = [{ cert = "cert.pem", key = "key.pem" }]\n' + TICKETS
    )

    assert [(d.name, d.address, d.tls, d.admin) for d in site.listeners] == [
        ("http", "0.0.0.0:8000", False, False),
        ("https", "0.0.0.0:8443", True, False),
        ("https-2", "0.0.0.0:443", True, False),
        ("http-2", "127.0.0.1:1", False, False),
        ("admin", "127.0.0.1:9000", False, True),
        ("http-3", "unix:/tmp/x.sock", False, False),
    ]


@pytest.mark.parametrize(
    ("listen", "ports"),
    [
        ('["0.0.0.0:80", "https://0.0.0.0:443"]', [443, None]),
        ('["127.0.0.1:8000", "https://127.0.0.1:8443"]', [None, None]),
        ('[{ address = ":8000", redirect_https = true }, "https://:8443"]', [8443, None]),
        ('[{ address = ":80", redirect_https = false }, "https://:443"]', [None, None]),
        ('[{ address = ":80", admin = true }, "https://:443", ":81"]', [None, None, None]),
    ],
)
def test_plain_http_on_port_80_leads_to_https_unless_told_otherwise(
    load: Load, certify, tmp_path: Path, listen: str, ports: list[int | None]
) -> None:
    certify(tmp_path)
    tls = '[site.tls]\nhsts_s = 60\ncertificates = [{ cert = "cert.pem", key = "key.pem" }]\n'
    site = load(f"[site]\nlisten = {listen}\n{tls}{TICKETS}")

    assert [door.https_port for door in site.listeners] == ports
    assert site.hsts_s == 60
