"""A forge that is closed to strangers by the one line of its manifest, from its first minute on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mergepoint_testkit.forge_site import running_forge
from mergepoint_testkit.people import PASSWORD, People, people_of
from mergepoint_testkit.sites import RunningSite
from mergepoint_testkit.visitor import Visitor

from .git_desk import Desk
from .waiting import within

BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
LINK = re.compile(r"http://127\.0\.0\.1:\d+(/-/accounts/link/\S+)")
STRANGERS_MAY_SEE = ("/shell/forge.css", "/-/accounts/login")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """Lend a forge whose line about reading says "user"."""
    changes = {'\nrequire = "public"\n# For': '\nrequire = "user"\n# For'}
    with running_forge(tmp_path_factory.mktemp("checkout"), changes) as site:
        yield site


@pytest.fixture(scope="module")
def people(closed: RunningSite) -> Iterator[People]:
    """Lend the people of the closed forge."""
    with people_of(closed) as made:
        yield made


def test_the_link_in_the_terminal_makes_the_administrator_once(closed: RunningSite) -> None:
    within(lambda: LINK.search(closed.output) is not None)
    found = LINK.search(closed.output)
    assert found is not None
    visitor = Visitor(closed.port)
    form = visitor.request("GET", found[1])
    made = visitor.submit(form, "password", user="keeper", name="Site Keeper", password=PASSWORD)
    assert made.status == 303, made.document().words()

    admin = visitor.request("GET", "/wiki/admin/", headers=BROWSER)
    assert admin.status == 200
    assert "People and roles" in visitor.get("/").document().words()
    assert visitor.get("/-/accounts/admin/people").status == 200
    again = Visitor(closed.port).request("GET", found[1])
    assert "password" not in [name for form in again.document().forms for name in form.values()]


def test_strangers_are_sent_to_the_login_from_every_app(closed: RunningSite) -> None:
    visitor = Visitor(closed.port)

    for address in ("/", "/tickets/1", "/wiki/page/home", "/code/orchard"):
        sent = visitor.request("GET", address, headers=BROWSER)
        assert sent.status == 303
        assert sent.location.startswith("/-/accounts/login?next=")
    for address in ("/tickets/api/recent", "/wiki/api/recent", "/code/api/search?q=a"):
        assert visitor.request("GET", address).status == 401
    for address in STRANGERS_MAY_SEE:
        assert visitor.request("GET", address).status == 200


def test_a_clone_needs_a_token_there(closed: RunningSite, people: People, tmp_path: Path) -> None:
    desk = Desk(tmp_path, f"http://127.0.0.1:{closed.port}/code")
    _, token = people.token(people.add("cloner", "reader"))

    code, said = desk.run("clone", desk.url(), "without")
    desk.git("clone", "-q", desk.url(token), "with")

    assert code != 0
    assert "Authentication failed" in said or "could not read Username" in said
    assert (desk.place / "with" / "README.md").exists()


def test_the_front_tells_its_news_with_a_token_of_its_own(
    closed: RunningSite, people: People
) -> None:
    visitor = Visitor(closed.port)
    _, own = people.token(people.add_service("front", "reader"))
    _, proof = people.token(people.add("looker", "reader"))
    as_looker = {"Authorization": f"Bearer {proof}"}
    before = visitor.request("GET", "/", headers=as_looker).document().words()
    written = closed.manifest.read_text().replace(
        'wsgi = "portal.wsgi:app"', f'wsgi = "portal.wsgi:app"\nenv = {{ FORGE_TOKEN = "{own}" }}'
    )
    closed.manifest.write_text(written)
    closed.run("reload", "front")

    words = visitor.request("GET", "/", headers=as_looker).document().words()

    assert before.count("is closed to this page") == 3
    assert "is closed to this page" not in words
    assert "open" in words
