"""What detection says about small projects in every framework, without importing any of them.

Place:  tests/cli
Rule:   every Python file of the fixtures raises when it is imported.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mergepoint.detect.candidate import Candidate, Serve
from mergepoint.detect.other_apps import procfile_command
from mergepoint.detect.project import candidates
from mergepoint.detect.serving import installed
from mergepoint.detect.tree import FILES_MAX, read_tree

PROJECTS = Path(__file__).parent / "projects"


def found(name: str) -> list[Candidate]:
    return candidates(read_tree(PROJECTS / name))


@pytest.mark.parametrize(
    ("project", "framework", "serve", "what", "directory", "where"),
    [
        ("flask_plain", "Flask", "wsgi", "app:app", "", "app.py:3"),
        ("flask_factory", "Flask", "wsgi", "shop:create_app()", "", "shop/__init__.py:4"),
        ("flask_entry", "Flask", "wsgi", "wsgi:application", "", "wsgi.py:3"),
        ("src_layout", "Flask", "wsgi", "notes.web:server", "src", "src/notes/web.py:3"),
        ("django_site", "Django", "wsgi", "wiki.wsgi:application", "", "wiki/wsgi.py:6"),
        ("bottle_app", "Bottle", "wsgi", "app:app", "", "app.py:3"),
        ("pyramid_app", "Pyramid", "wsgi", "app:application", "", "app.py:10"),
        ("fastapi_app", "FastAPI", "asgi", "main:app", "", "main.py:3"),
        ("starlette_app", "Starlette", "asgi", "app:app", "", "app.py:5"),
        ("plain_wsgi", "WSGI", "wsgi", "hello:application", "", "hello.py:1"),
        ("plain_asgi", "ASGI", "asgi", "hello:app", "", "hello.py:7"),
        ("node_app", "Express", "command", "node server.js", "", "package.json:1"),
        (
            "procfile_app",
            "Procfile",
            "command",
            "bundle exec puma -p {port}",
            "",
            "Procfile:2",
        ),
        ("static_site", "static files", "static", ".", "", "index.html"),
    ],
)
def test_the_best_candidate_is_the_one_a_person_would_name(
    project: str, framework: str, serve: str, what: str, directory: str, where: str
) -> None:
    best = found(project)[0]

    assert (best.framework, best.serve, best.what()) == (framework, serve, what)
    assert best.directory == PROJECTS / project / directory
    assert best.where == where


def test_a_factory_with_required_arguments_says_what_to_write() -> None:
    best = found("pyramid_paste")[0]

    assert not best.exists
    assert "get_app" in best.needs


def test_bottles_hidden_application_says_what_to_write() -> None:
    best = found("bottle_default")[0]

    assert not best.exists
    assert best.needs == "add to main.py: application = bottle.default_app()"


def test_two_equal_applications_are_both_listed() -> None:
    assert {c.what() for c in found("two_apps")} == {"admin:site", "public:site"}


def test_applications_of_tests_are_offered_only_when_there_is_nothing_else() -> None:
    assert [c.what() for c in found("only_tests")] == ["test_app:app"]


def test_nothing_is_found_where_nothing_is() -> None:
    assert found("nothing") == []


def test_a_node_project_without_its_packages_says_so() -> None:
    assert found("node_app")[0].needs == "run: npm install"


def test_django_over_both_interfaces_offers_both_and_wsgi_first() -> None:
    assert [c.serve for c in found("django_site")] == [Serve.WSGI, Serve.ASGI]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("from flask import Flask\nweb: Flask = Flask(__name__)", "m:web"),
        ("import flask as f\nsite = f.Flask(__name__)", "m:site"),
        ("try:\n    from flask import Flask\nexcept E:\n    raise\na = Flask('a')", "m:a"),
        ("from flask import Flask\nclass Mine(Flask): ...\nmine = Mine('x')", "m:mine"),
        ("from flask import Flask\ndef make() -> Flask:\n    return Flask('x')", "m:make()"),
        ("from flask import Flask\nif True:\n    inner = Flask('x')", "m:inner"),
        ("from dash import Dash\ndash = Dash()\n", "m:dash.server"),
        ("from dash import Dash\nd = Dash()\nserver = d.server", "m:server"),
        ("from fasthtml.common import *\nweb, rt = fast_app()", "m:web"),
        ("import falcon\nthing = falcon.App()", "m:thing"),
        ("async def app(scope, receive, send): ...", "m:app"),
        ("def app(environ, start_response): ...", "m:app"),
        ("def make():\n    return Front()\nclass Front:\n"
         "    def __call__(self, environ, start_response): ...", "m:make()"),
        ("def application(e, s): ...", "m:application"),
        ("async def app(a, b, c): ...", "m:app"),
        ("from flask import Flask\na = Flask('a')\nb = ProxyFix(a, x_for=1)", "m:a"),
        ("from a2wsgi import ASGIMiddleware\nfrom fastapi import FastAPI\n"
         "app = FastAPI()\napplication = ASGIMiddleware(app)", "m:application"),
    ],
)  # fmt: skip
def test_ways_of_writing_an_application(text: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(text)

    assert what in [c.what() for c in candidates(read_tree(tmp_path))]


@pytest.mark.parametrize(
    "text",
    [
        "from flask import Flask\nif __name__ == '__main__':\n    app = Flask('x')",
        "class Flask: ...\napp = Flask()",
        "def app(environ): ...",
        "async def app(environ, start_response): ...",
        "from flask import Blueprint\napp = Blueprint('x', 'x')",
        "from flask import Flask\ndef view():\n    app = Flask('x')",
        "this is not python",
    ],
)
def test_what_is_no_application_is_not_offered(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(text)

    assert candidates(read_tree(tmp_path)) == []


def test_an_application_made_in_another_file_is_found_in_the_entry_file(tmp_path: Path) -> None:
    (tmp_path / "site_code").mkdir()
    (tmp_path / "site_code/__init__.py").write_text("from .web import app\n")
    (tmp_path / "site_code/web.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    (tmp_path / "asgi.py").write_text("from site_code import app as application\n")

    best = candidates(read_tree(tmp_path))[0]

    assert (best.framework, best.what()) == ("FastAPI", "asgi:application")


def test_a_package_directory_itself_is_imported_from_its_parent(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("from flask import Flask\napp = Flask(__name__)\n")

    best = candidates(read_tree(package))[0]

    assert (best.what(), best.directory) == ("shop:app", tmp_path)


def test_environments_and_packages_of_others_are_not_looked_at(tmp_path: Path) -> None:
    for place in ("node_modules/x", "venv/lib", ".git/x", "my-env/lib"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "app.py").write_text("from flask import Flask\napp = Flask('x')\n")
    (tmp_path / "my-env/pyvenv.cfg").write_text("")

    assert candidates(read_tree(tmp_path)) == []


def test_a_huge_directory_is_cut_and_says_so(tmp_path: Path) -> None:
    for number in range(FILES_MAX + 1):
        (tmp_path / f"{number}.dat").touch()

    tree = read_tree(tmp_path)

    assert tree.cut
    assert len(tree.names) == FILES_MAX


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("gunicorn", "-b", "0.0.0.0:$PORT", "x:y"), ("gunicorn", "-b", "0.0.0.0:{port}", "x:y")),
        (("x", "--port=${PORT}"), ("x", "--port={port}")),
        (("x", "${PORT:-5000}"), ("x", "{port}")),
        (("A=1", "x"), ("sh", "-c", "exec A=1 x")),
        (("x", "&&", "y"), ("sh", "-c", "exec x && y")),
    ],
)
def test_a_procfile_line_becomes_a_command_that_is_told_its_port(
    words: tuple[str, ...], command: tuple[str, ...]
) -> None:
    assert procfile_command(words) == command


def test_a_server_of_one_file_is_a_node_program_without_a_package(tmp_path: Path) -> None:
    (tmp_path / "server.js").write_text("require('http').createServer(f).listen(3000)\n")
    best = candidates(read_tree(tmp_path))[0]
    assert (best.framework, best.what(), best.where) == ("Node", "node server.js", "server.js:1")


def test_a_script_for_browsers_is_no_node_program(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<script src=app.js></script>")
    (tmp_path / "app.js").write_text("document.body.listen(1)\n")
    assert "Node" not in [found.framework for found in candidates(read_tree(tmp_path))]


def test_packages_of_the_apps_own_path_count_as_installed(tmp_path: Path) -> None:
    (tmp_path / "granian-2.0.dist-info").mkdir()
    assert installed(tmp_path / "bin/python", str(tmp_path)) == {"granian": "2.0"}
    assert installed(tmp_path / "bin/python") == {}
