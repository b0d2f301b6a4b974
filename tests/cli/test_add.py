"""`mergepoint add`: one block more in the manifest, or a reason and an unchanged file.

Place:  tests/cli
Rule:   the manifest is compared byte for byte.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Project = Callable[[str], Path]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("flask_plain", {"wsgi": "app:app"}),
        ("flask_factory", {"wsgi": "shop:create_app()"}),
        ("src_layout", {"wsgi": "notes.web:server", "directory": "src_layout/src"}),
        ("django_site", {"wsgi": "wiki.wsgi:application"}),
        ("bottle_app", {"wsgi": "app:app"}),
        ("pyramid_app", {"wsgi": "app:application"}),
        ("fastapi_app", {"asgi": "main:app"}),
        ("starlette_app", {"asgi": "app:app"}),
        ("plain_wsgi", {"wsgi": "hello:application"}),
        ("plain_asgi", {"asgi": "hello:app"}),
        ("node_app", {"command": ["node", "server.js"]}),
        ("procfile_app", {"command": ["bundle", "exec", "puma", "-p", "{port}"]}),
        ("static_site", {"static": "."}),
    ],
)
def test_a_project_is_added_as_what_it_is(
    cli: Any, site: Path, project: Project, name: str, table: dict[str, Any]
) -> None:
    project(name)
    before = site.read_bytes()

    ran = cli("add", name, "--at", "/x", "--name", "x")

    assert ran.code == 0, ran.err
    assert site.read_bytes().startswith(before)
    added = tomllib.loads(site.read_text())["apps"]["x"]
    assert added == {"directory": name, "at": "/x"} | table
    assert site.read_text().splitlines()[int(line_of(ran.err)) - 1] == "[apps.x]"


def line_of(talk: str) -> str:
    return talk.partition("(mergepoint.toml:")[2].partition(")")[0]


def test_the_report_reads_as_agreed(cli: Any, site: Path, project: Project, golden: Any) -> None:
    project("flask_plain")
    cli("add", "flask_plain", "--name", "first", "--at", "/first")

    ran = cli("add", "flask_plain", "--name", "shop", "--at", "/shop")

    golden("add_flask", ran.err + ran.out)


def test_the_django_report_reads_as_agreed(
    cli: Any, site: Path, project: Project, golden: Any
) -> None:
    project("django_site")

    ran = cli("add", "django_site", "--name", "wiki", "--dry-run")

    golden("add_django", ran.err + ran.out)


def test_dry_run_prints_the_block_and_writes_nothing(
    cli: Any, site: Path, project: Project
) -> None:
    project("bottle_app")
    before = site.read_bytes()

    ran = cli("add", "bottle_app", "--dry-run")

    assert ran.code == 0
    assert tomllib.loads(ran.out)["apps"]["bottle_app"]["at"] == "/bottle_app"
    assert site.read_bytes() == before


def test_a_file_without_a_final_newline_keeps_its_last_line(
    cli: Any, site: Path, project: Project
) -> None:
    project("bottle_app")
    site.write_text(site.read_text().rstrip("\n") + "  # the end")

    assert cli("add", "bottle_app").code == 0
    assert "# the end\n\n# Bottle" in site.read_text()


def test_a_manifest_inside_pyproject_gets_its_own_table_name(
    cli: Any, site: Path, project: Project, tmp_path: Path
) -> None:
    text = site.read_text().replace("[site]", "[tool.mergepoint.site]")
    (tmp_path / "pyproject.toml").write_text(text.replace("[apps.", "[tool.mergepoint.apps."))
    site.unlink()
    project("bottle_app")

    assert cli("add", "bottle_app").code == 0
    document = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert document["tool"]["mergepoint"]["apps"]["bottle_app"]["wsgi"] == "app:app"


@pytest.mark.parametrize(
    ("arguments", "code", "said", "following"),
    [
        (["nowhere"], 1, "there is no directory nowhere", "mergepoint add"),
        (["nothing"], 1, "no application found in nothing", "--app module:attribute"),
        (["two_apps"], 2, "2 applications could be meant", "--app admin:site"),
        (["bottle_default"], 1, "bottle.default_app()", "then repeat"),
        (["pyramid_paste"], 1, "pyramid.paster.get_app", "then repeat"),
        (["bottle_app", "--name", "hello"], 1, "already an app 'hello'", "--name OTHER"),
        (["bottle_app", "--at", "/tickets"], 1, "belongs to tickets", "--at /bottle_app"),
        (["bottle_app", "--at", "/tickets/"], 1, "belongs to tickets", "--at /bottle_app"),
    ],
)
def test_what_cannot_be_added_leaves_the_manifest_alone(
    cli: Any,
    site: Path,
    project: Project,
    arguments: list[str],
    code: int,
    said: str,
    following: str,
) -> None:
    if arguments[0] != "nowhere":
        project(arguments[0])
    before = site.read_bytes()

    ran = cli("add", *arguments)

    assert ran.code == code
    assert said in ran.err
    assert following in ran.err.partition("next: ")[2]
    assert site.read_bytes() == before


def test_a_block_the_manifest_would_refuse_is_taken_back(
    cli: Any, site: Path, project: Project
) -> None:
    project("bottle_app")
    before = site.read_bytes()

    ran = cli("add", "bottle_app", "--name", "Not A Name!")

    assert ran.code == 1
    assert "was left as it was" in ran.err
    assert site.read_bytes() == before


def test_a_broken_manifest_is_to_be_mended_first(cli: Any, site: Path, project: Project) -> None:
    project("bottle_app")
    site.write_text(site.read_text() + "wsgy = 1\n")

    ran = cli("add", "bottle_app")

    assert ran.code == 78
    assert "wsgy" in ran.err


def test_the_first_app_is_added_to_a_site_that_has_none(
    cli: Any, site: Path, project: Project
) -> None:
    project("bottle_app")
    site.write_text('[site]\nname = "acme"\n')

    ran = cli("add", "bottle_app")

    assert ran.code == 0, ran.err
    assert tomllib.loads(site.read_text())["apps"].keys() == {"bottle_app"}


def test_without_a_site_there_is_nothing_to_add_to(cli: Any, project: Project) -> None:
    project("bottle_app")

    ran = cli("add", "bottle_app")

    assert ran.code == 78
    assert "mergepoint new" in ran.err


def test_one_of_several_is_chosen_by_name(cli: Any, site: Path, project: Project) -> None:
    project("two_apps")

    ran = cli("add", "two_apps", "--app", "public:site", "--name", "public")

    assert ran.code == 0, ran.err
    assert tomllib.loads(site.read_text())["apps"]["public"]["wsgi"] == "public:site"


def test_one_file_of_a_directory_may_be_meant(cli: Any, site: Path, project: Project) -> None:
    project("two_apps")

    assert cli("add", "two_apps/admin.py", "--name", "admin").code == 0
    assert tomllib.loads(site.read_text())["apps"]["admin"]["wsgi"] == "admin:site"


def test_a_service_elsewhere_and_a_host_are_added(cli: Any, site: Path) -> None:
    assert (
        cli("add", "http://127.0.0.1:9200", "--at", "search.example.org", "--name", "s").code == 0
    )

    added = tomllib.loads(site.read_text())["apps"]["s"]
    assert added == {"http": "http://127.0.0.1:9200", "at": "search.example.org/"}


def test_the_document_says_everything(cli: Any, site: Path, project: Project) -> None:
    project("flask_plain")

    document = cli("add", "flask_plain", "--at", "/shop", "--json").document

    assert document["schema"] == 1
    assert (document["app"], document["at"], document["written"]) == ("flask_plain", "/shop", True)
    assert {f["code"] for f in document["findings"]} >= {"absolute_links", "not_installed"}
    assert all(f["fix"] for f in document["findings"])


def test_an_environment_of_the_project_is_used(cli: Any, site: Path, project: Project) -> None:
    root = project("src_layout")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / "venv"], check=True)

    ran = cli("add", "src_layout", "--name", "notes")

    assert ran.code == 0, ran.err
    assert tomllib.loads(site.read_text())["apps"]["notes"]["venv"] == "src_layout/venv"


def test_an_environment_that_cannot_be_filled_says_why_and_writes_nothing(
    cli: Any, site: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project("flask_plain")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    before = site.read_bytes()

    ran = cli("add", "flask_plain", "--venv")

    assert ran.code == 1
    assert "installing -r requirements.txt granian failed" in ran.err
    assert "next: cd " in ran.err
    assert site.read_bytes() == before


def test_a_python_that_is_not_there_is_named(cli: Any, site: Path, project: Project) -> None:
    project("flask_plain")

    ran = cli("add", "flask_plain", "--venv", "--python", "3.99")

    assert ran.code == 1
    assert "there is no python3.99 on PATH" in ran.err
