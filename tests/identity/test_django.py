"""Django under the site's login: users, flags, groups, permissions, the admin, and its sessions."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mergepoint_testkit.environments import ROOT, environment
from mergepoint_testkit.identities import headers
from mergepoint_testkit.workers import MOUNT, Worker, Workers

PROGRAMS = Path(__file__).parent / "programs"
PYTHON = environment("matrix") / "bin" / "python"
ADA = headers("ada", roles=["admin"], groups=["team"], permissions=["tickets.edit"])
BOB = headers("bob", groups=["team"], permissions=["auth.*"])
EVE = headers("eve", roles=["staff"])
Start = Callable[..., Worker]


@pytest.fixture(scope="module")
def start(workers: Workers, tmp_path_factory: pytest.TempPathFactory) -> Start:
    def started(interface: str = "wsgi", **settings: Any) -> Worker:
        database = tmp_path_factory.mktemp("django") / "db.sqlite3"
        environ = {"DATABASE": str(database), "SETTINGS": json.dumps(settings)}
        # Outside a worker nobody offers the package, so the migration is told where it is.
        alone = {**os.environ, **environ, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run([PYTHON, PROGRAMS / "on_django.py"], env=alone, check=True, timeout=120)
        target = "on_django:app" if interface == "wsgi" else "on_django:asgi"
        return workers.start(target, where=PROGRAMS, interface=interface, environ=environ)

    return started


@pytest.fixture(scope="module", params=["wsgi", "asgi"])
def site(start: Start, request: pytest.FixtureRequest) -> Worker:
    return start(request.param)


def told(worker: Worker, path: str, **sent: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(worker.get(MOUNT + path, **sent))
    return found


def status(worker: Worker, path: str, **sent: str) -> int:
    return worker.open(MOUNT + path, **sent).status


def test_somebody_new_becomes_a_user_with_the_flags_of_their_roles(site: Worker) -> None:
    assert told(site, "/me", **ADA) == {
        "user": "ada", "email": "ada@example.org", "name": "Ada Ünique", "staff": True,
        "superuser": True, "groups": [], "may": True, "password": False,
    }  # fmt: skip
    assert told(site, "/me", **EVE)["staff"] and not told(site, "/me", **EVE)["superuser"]
    assert not told(site, "/me", **BOB)["staff"]


def test_what_the_site_takes_away_is_gone_at_the_next_request(site: Worker) -> None:
    assert told(site, "/me", **headers("mia", roles=["admin"]))["superuser"]
    demoted = told(site, "/me", **headers("mia", email="new@example.org"))

    assert (demoted["superuser"], demoted["staff"], demoted["may"]) == (False, False, False)
    assert demoted["email"] == "new@example.org"


def test_nobody_is_django_s_anonymous_and_async_views_know_the_same(site: Worker) -> None:
    assert told(site, "/me") == {"user": ""}
    assert told(site, "/also-me") == {"user": "", "may": False}
    assert told(site, "/also-me", **BOB) == {"user": "bob", "may": True}
    assert told(site, "/me", Remote_User="ada") == {"user": ""}


def test_a_permission_of_the_site_is_one_of_django(site: Worker) -> None:
    assert told(site, "/editors", **BOB)["may"]
    assert status(site, "/editors", **EVE) == 403


def test_django_s_own_guards_send_people_to_the_site_s_login(site: Worker) -> None:
    answer = site.open(MOUNT + "/members")

    assert answer.status == 302
    assert answer.headers["Location"] == "/-/accounts/login?next=/tickets/members"
    assert told(site, "/members", **BOB)["user"] == "bob"


@pytest.mark.parametrize("path", ["/guarded", "/guarded-async", "/guarded-method"])
def test_requires_guards_views_of_every_kind(site: Worker, path: str) -> None:
    assert site.get(MOUNT + path, **ADA) == "ada"
    assert status(site, path, **BOB) == 403
    nobody = site.open(MOUNT + path)
    assert (nobody.status, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_requires_guards_a_whole_class(site: Worker) -> None:
    assert [status(site, "/guarded-class", **who) for who in (ADA, BOB, {})] == [200, 403, 401]


def test_the_admin_uses_the_site_s_login_and_its_staff_roles(site: Worker) -> None:
    nobody = site.open(MOUNT + "/admin/")
    assert nobody.status == 302
    login = site.open(nobody.headers["Location"])
    assert login.status == 303
    assert login.headers["Location"] == "/-/accounts/login?next=%2Ftickets%2Fadmin%2F"

    assert "Site administration" in site.get(MOUNT + "/admin/", **ADA)
    assert "Add" in site.get(MOUNT + "/admin/auth/group/", **ADA)
    assert "permission to view or edit anything" in site.get(MOUNT + "/admin/", **EVE)
    denied = site.open(MOUNT + "/admin/", **BOB)
    assert site.open(denied.headers["Location"], **BOB).status == 403, "no circle of redirects"


def test_staff_with_a_permission_of_the_site_work_in_the_admin(site: Worker) -> None:
    staff = headers("zoe", roles=["staff"], permissions=["auth.view_group"])

    assert "Groups" in site.get(MOUNT + "/admin/", **staff)
    assert status(site, "/admin/auth/group/", **staff) == 200
    assert status(site, "/admin/auth/user/", **staff) == 403


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/accounts/login/?next=/tickets/me", "/-/accounts/login?next=%2Ftickets%2Fme"),
        (
            "/accounts/login/?next=https://evil.example/",
            "/-/accounts/login?next=%2Faccounts%2Fprofile%2F",
        ),
        ("/admin/logout/", "/-/accounts/logout"),
        ("/accounts/logout/", "/-/accounts/logout"),
        ("/accounts/password_change/", "/-/accounts/"),
    ],
)
def test_django_s_own_pages_lead_to_the_site_s(site: Worker, path: str, target: str) -> None:
    answer = site.open(MOUNT + path)

    assert (answer.status, answer.headers["Location"]) == (303, target)


def test_who_is_logged_in_already_is_sent_back_and_never_elsewhere(site: Worker) -> None:
    back = site.open(MOUNT + "/accounts/login/?next=/tickets/me", **BOB)
    away = site.open(MOUNT + "/accounts/login/?next=//evil.example/", **BOB)

    assert back.headers["Location"] == "/tickets/me"
    assert away.headers["Location"] == "/accounts/profile/"


def cookie(worker: Worker, path: str, **sent: str) -> tuple[str, str]:
    answer = worker.open(MOUNT + path, **sent)
    return answer.read().decode(), (answer.headers["Set-Cookie"] or "").partition(";")[0]


def test_a_session_never_passes_from_one_person_to_the_next(site: Worker) -> None:
    word, kept = cookie(site, "/keep?word=secret", **ADA)
    assert word == "secret"
    assert cookie(site, "/keep", Cookie=kept, **ADA)[0] == "secret"

    assert cookie(site, "/keep", Cookie=kept, **BOB)[0] == "nothing"
    assert cookie(site, "/keep", Cookie=kept, **ADA)[0] == "nothing", "the session itself is gone"


def test_a_session_ends_with_the_login_and_one_from_before_it_goes_on(site: Worker) -> None:
    _, kept = cookie(site, "/keep?word=basket")
    assert cookie(site, "/keep", Cookie=kept, **ADA)[0] == "basket"
    _, owned = cookie(site, "/keep?word=secret", Cookie=kept, **ADA)

    assert cookie(site, "/keep", Cookie=owned or kept)[0] == "nothing"


def test_a_user_made_inactive_in_django_is_refused_without_a_circle(site: Worker) -> None:
    assert told(site, "/me", **headers("tom"))["user"] == "tom"
    site.get(MOUNT + "/disable?user=tom")

    assert status(site, "/members", **headers("tom")) == 403


def test_a_local_password_opens_nothing(site: Worker) -> None:
    assert site.get(MOUNT + "/try-password") == "out"


def test_groups_are_left_alone_mirrored_or_mapped(start: Start) -> None:
    team = headers("ada", groups=["team"], roles=["lead"])
    out = headers("ada")
    given = {
        "alone": (start(), [], [], ["local"]),
        "mirror": (start(MERGEPOINT_GROUPS="mirror"), ["team"], [], []),
        "mapping": (
            start(MERGEPOINT_GROUPS={"team": "Editors", "lead": "Leads"}),
            ["Editors", "Leads"], [], ["local"],
        ),
    }  # fmt: skip
    for worker, joined, left, kept in given.values():
        assert told(worker, "/me", **team)["groups"] == joined
        assert told(worker, "/me", **out)["groups"] == left
        worker.get(MOUNT + "/local-group?user=ada&group=local")
        assert told(worker, "/me", **out)["groups"] == kept


def test_flags_can_be_left_to_django(start: Start) -> None:
    worker = start(MERGEPOINT_STAFF_ROLES=None, MERGEPOINT_SUPERUSER_ROLES=["root"])

    found = told(worker, "/me", **ADA)
    assert (found["staff"], found["superuser"]) == (False, False)
    assert told(worker, "/me", **headers("ada", roles=["root"]))["superuser"]
