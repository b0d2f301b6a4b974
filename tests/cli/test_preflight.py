"""What preflight reports about an app at a mount, and that it is quiet where nothing is wrong.

Place:  tests/cli
Rule:   each test has its counterpart: the same app mended is not reported.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mergepoint.detect.candidate import Candidate, Finding, Serve
from mergepoint.detect.preflight import findings
from mergepoint.detect.requirements import Requirement, compare, satisfies
from mergepoint.detect.subject import Subject, subject_of_candidate
from mergepoint.detect.tree import read_tree

PROJECTS = Path(__file__).parent / "projects"


def subject(
    root: Path,
    framework: str = "Flask",
    path: str = "/shop",
    *,
    name: str = "shop",
    serve: Serve = Serve.WSGI,
    host: str = "*",
    target: str = "app:app",
    python: Path | None = None,
) -> Subject:
    candidate = Candidate(framework, serve, root, "app.py:1", target)
    return subject_of_candidate(name, candidate, host, path, read_tree(root), python)


def codes(found: list[Finding]) -> set[str]:
    return {finding.code for finding in found}


def written(root: Path, **files: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name.replace("__", ".")).write_text(text)
    return root


@pytest.mark.parametrize(
    ("file", "text", "code"),
    [
        ("page__html", '<a href="/about">x</a>', "absolute_links"),
        ("page__html", "<img src='/logo.png'>", "absolute_links"),
        ("page__html", '<form action="/save">', "absolute_links"),
        ("app__py", "'<a href=\"/about\">'", "absolute_links"),
        ("site__js", 'fetch("/api/items")', "absolute_requests"),
        ("site__js", 'location.href = "/login"', "absolute_requests"),
        ("app__py", 'redirect("/home")', "absolute_redirects"),
        ("app__py", 'RedirectResponse(url="/home")', "absolute_redirects"),
        ("page__html", '<form action="{{ request.path }}">', "request_path"),
    ],
)
def test_links_from_the_root_of_the_host_are_reported(
    file: str, text: str, code: str, tmp_path: Path
) -> None:
    root = written(tmp_path / "a", **{file: text})

    assert code in codes(findings(subject(root), []))
    assert codes(findings(subject(root, path="/"), [])) == set()


@pytest.mark.parametrize(
    "text",
    [
        '<a href="about">',
        '<a href="//cdn.example.org/x.js">',
        '<a href="https://example.org/">',
        "<a href=\"{{ url_for('about') }}\">",
        '<a href="/shop/about">',
        '<a href="/wiki/page">',
        '<a href="#top">',
    ],
)
def test_links_that_stay_or_lead_to_another_app_are_not_reported(text: str, tmp_path: Path) -> None:
    root = written(tmp_path / "a", page__html=text)
    wiki = subject(written(tmp_path / "b"), path="/wiki", name="wiki")

    assert findings(subject(root), [wiki]) == []


def test_a_finding_about_links_names_places_and_counts_the_rest(tmp_path: Path) -> None:
    root = written(tmp_path / "a", page__html="\n".join(['<a href="/x">'] * 5))

    (finding,) = findings(subject(root), [])

    assert finding.where == "page.html:1"
    assert "5 links" in finding.message
    assert "page.html:3" in finding.message
    assert "and 2 more" in finding.message


def test_a_taken_mount_is_an_error_with_another_path(tmp_path: Path) -> None:
    root = written(tmp_path / "a")
    other = subject(root, name="old")

    found = findings(subject(root), [other])

    assert [(f.severity, f.code) for f in found] == [("error", "mount_taken")]
    assert found[0].fix == "choose another path: --at /shop-2"
    assert findings(subject(root, host="shop.example.org"), [other]) == []


def test_a_mount_inside_another_apps_is_a_warning_but_not_inside_the_root(tmp_path: Path) -> None:
    root = written(tmp_path / "a")

    inside = findings(subject(root, path="/wiki/shop"), [subject(root, path="/wiki", name="wiki")])

    assert codes(inside) == {"mount_inside"}
    assert findings(subject(root), [subject(root, path="/", name="front")]) == []
    assert findings(subject(root, path="/wikis"), [subject(root, path="/wiki", name="w")]) == []


SESSION = "from flask import Flask, session\n"


def test_two_apps_with_one_session_cookie_are_reported_with_the_setting(tmp_path: Path) -> None:
    mine = subject(written(tmp_path / "a", app__py=SESSION))
    other = subject(written(tmp_path / "b", app__py=SESSION), path="/wiki", name="wiki")

    (finding,) = findings(mine, [other])

    assert finding.code == "cookie_clash"
    assert finding.fix == 'app.config["SESSION_COOKIE_NAME"] = "shop_session"'


@pytest.mark.parametrize(
    "text",
    [
        "from flask import Flask\n",
        SESSION + 'app.config["SESSION_COOKIE_NAME"] = "shop_session"\n',
        SESSION + 'SESSION_COOKIE_NAME = "shop_session"\n',
        SESSION + 'app.config.update(SESSION_COOKIE_NAME="shop_session")\n',
    ],
)
def test_an_app_without_that_cookie_is_not_reported(text: str, tmp_path: Path) -> None:
    mine = subject(written(tmp_path / "a", app__py=text))
    other = subject(written(tmp_path / "b", app__py=SESSION), path="/wiki", name="wiki")

    assert findings(mine, [other]) == []


def test_cookies_bound_to_their_mounts_or_to_other_hosts_do_not_clash(tmp_path: Path) -> None:
    bound = SESSION + 'SESSION_COOKIE_PATH = "{}"\n'
    mine = subject(written(tmp_path / "a", app__py=bound.format("/shop")))
    other = written(tmp_path / "b", app__py=bound.format("/wiki"))
    plain = written(tmp_path / "c", app__py=SESSION)

    assert findings(mine, [subject(other, path="/wiki", name="wiki")]) == []
    apart = subject(plain, name="shop", host="a.example.org")
    assert findings(apart, [subject(plain, name="wiki", host="b.example.org")]) == []


def test_django_settings_that_break_at_a_mount_are_each_reported() -> None:
    root = PROJECTS / "django_site"
    found = findings(subject(root, "Django", "/wiki", target="wiki.wsgi:application"), [])
    places = {finding.code: finding.where for finding in found}

    assert places["force_script_name"] == "wiki/settings.py:8"
    assert places["allowed_hosts"] == "wiki/settings.py:5"
    assert places["static_url"] == "wiki/settings.py:9"
    assert places["login_redirect_url"] == "wiki/settings.py:10"
    assert places["static_files"] == "wiki/settings.py:9"
    assert {"csrf_trusted_origins", "absolute_links"} <= places.keys()
    assert found[0].severity == "error"


def test_mended_django_settings_are_quiet(tmp_path: Path) -> None:
    settings = (
        'ROOT_URLCONF = "w.urls"\nINSTALLED_APPS = ["django.contrib.staticfiles"]\n'
        'ALLOWED_HOSTS = ["example.org"]\nCSRF_TRUSTED_ORIGINS = ["https://example.org"]\n'
        'STATIC_URL = "static/"\nLOGIN_REDIRECT_URL = "home"\n'
        'MIDDLEWARE = ["whitenoise.middleware.WhiteNoiseMiddleware"]\n'
    )
    root = written(tmp_path / "a", settings__py=settings)

    assert findings(subject(root, "Django"), []) == []


def test_a_server_started_at_import_is_an_error_and_behind_a_guard_is_not(tmp_path: Path) -> None:
    text = "from flask import Flask\napp = Flask('x')\n"
    bare = written(tmp_path / "a", app__py=text + "app.run(port=5000)\n")
    guarded = text + "if __name__ == '__main__':\n    app.run(port=5000)\n"

    (finding,) = findings(subject(bare), [])

    assert (finding.severity, finding.code) == ("error", "runs_at_import")
    assert finding.where == "app.py:3"
    assert findings(subject(written(tmp_path / "b", app__py=guarded)), []) == []


def test_a_node_server_with_its_own_port_is_an_error_until_it_asks_for_port(tmp_path: Path) -> None:
    def judged(name: str, text: str) -> list[Finding]:
        root = written(tmp_path / name, server__js=text)
        return findings(subject(root, "Node", serve=Serve.COMMAND, target=""), [])

    (finding,) = judged("a", "app.listen(3000)")

    assert finding.fix == "write listen(process.env.PORT || 3000)"
    assert judged("b", "const port = process.env.PORT || 3000; app.listen(port)") == []


def environment(root: Path, **versions: str) -> Path:
    versions = {"granian": "2.8.7", "flask": "3.1.0"} | versions
    packages = root / "lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    for name, version in versions.items():
        (packages / f"{name}-{version}.dist-info").mkdir()
    return root / "bin" / "python"


def test_what_is_not_installed_and_what_is_in_another_version_is_reported(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", flask="2.0.1")
    root = written(tmp_path / "a", requirements__txt="flask>=3\nredis\n# comment\n-r other.txt\n")

    found = {f.code: f for f in findings(subject(root, python=python), [])}

    assert found.keys() == {"not_installed", "other_version"}
    assert found["not_installed"].fix == f"{python} -m pip install -r {root}/requirements.txt"
    assert found["not_installed"].where == "requirements.txt:2"
    assert "flask 2.0.1" in found["other_version"].message


def test_an_environment_without_a_server_is_an_error_with_the_command(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv")
    (tmp_path / "venv/lib/python3.11/site-packages/granian-2.8.7.dist-info").rmdir()

    (finding,) = findings(subject(written(tmp_path / "a"), python=python), [])

    assert (finding.code, finding.fix) == ("no_server", f"{python} -m pip install granian")


def test_a_framework_that_is_not_installed_is_an_error_even_without_requirements(
    tmp_path: Path,
) -> None:
    python = environment(tmp_path / "venv")
    root = written(tmp_path / "a")

    (finding,) = findings(subject(root, "Bottle", python=python), [])

    assert (finding.severity, finding.code) == ("error", "no_framework")
    assert finding.fix.endswith(f"{python} -m pip install bottle")
    assert findings(subject(root, "Flask", python=python), []) == []


def test_two_apps_of_one_environment_with_pins_that_exclude_each_other(tmp_path: Path) -> None:
    python = environment(tmp_path / "venv", sqlalchemy="2.1.0")
    mine = subject(written(tmp_path / "a", requirements__txt="SQLAlchemy==2.1.0"), python=python)
    other_root = written(tmp_path / "b", requirements__txt="sqlalchemy<2.1")
    other = subject(other_root, path="/b", name="b", python=python)
    apart = subject(other_root, path="/b", name="b", python=tmp_path / "own/bin/python")

    assert "pins_clash" in codes(findings(mine, [other]))
    assert findings(mine, [apart]) == []


@pytest.mark.parametrize(
    ("version", "clauses", "met"),
    [
        ("3.1.2", [(">=", "3")], True),
        ("3.1.2", [("==", "3.1.*")], True),
        ("3.2.0", [("==", "3.1.*")], False),
        ("3.1", [("==", "3.1.0")], True),
        ("3.1.9", [("~=", "3.1.2")], True),
        ("3.2.0", [("~=", "3.1.2")], False),
        ("3.10", [("<", "3.9")], False),
        ("2.0", [("!=", "2.0")], False),
        ("2.0", [(">=", "1"), ("<", "2")], False),
        ("2.0rc1", [(">=", "2")], True),
    ],
)
def test_versions_are_compared_by_number(
    version: str, clauses: list[tuple[str, str]], met: bool
) -> None:
    assert satisfies(version, Requirement("x", tuple(clauses), "")) is met


def test_comparison_is_by_release_numbers() -> None:
    assert (compare("1.10", "1.9"), compare("1.0", "1"), compare("1!1.0", "2.0")) == (1, 0, -1)


def test_a_file_that_does_not_parse_is_named_with_its_line(tmp_path: Path) -> None:
    root = written(tmp_path / "a", app__py="app = 1\n", other__py="x = (\n")

    (finding,) = findings(subject(root), [])

    assert (finding.code, finding.where) == ("syntax", "other.py:1")


@pytest.mark.parametrize("name", ["bottle_app", "pyramid_app", "plain_wsgi", "flask_factory"])
def test_sound_projects_are_quiet(name: str) -> None:
    assert findings(subject(PROJECTS / name), []) == []
