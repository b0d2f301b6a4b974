"""What administrators do, and that nobody else does it."""

from __future__ import annotations

import re

import pytest

from mergepoint.identity.accounts.caller import Caller

PASSWORD = "seven pears on a wall"
BY_TEST = Caller(user="(test)")
RISKS = ["rights", "reset", "sign-out", "disable", "enable", "delete"]
GETS = ["/admin/", "/admin/people", "/admin/people/new", "/admin/people/{sub}", "/admin/services",
        "/admin/services/{sub}", "/admin/people/{sub}/delete", "/admin/audit"]  # fmt: skip
POSTS = ["/admin/people/new", "/admin/people/{sub}/rights", "/admin/people/{sub}/reset",
         "/admin/people/{sub}/sign-out", "/admin/people/{sub}/disable",
         "/admin/people/{sub}/enable", "/admin/people/{sub}/delete",
         "/admin/services", "/admin/services/{sub}",
         "/admin/services/{sub}/tokens/x/revoke"]  # fmt: skip


def test_every_page_of_administration_is_for_administrators_alone(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa", roles=("reader",))
    sub = browser.get("/whoami").json["sub"]
    gets = {address: browser.get(address.format(sub=sub)).status_code for address in GETS}
    posts = {address: browser.post(address.format(sub=sub)).status_code for address in POSTS}

    assert set(gets.values()) | set(posts.values()) == {403}
    for address in POSTS:
        stranger = house.browser().post(address.format(sub=sub))
        assert stranger.status_code == 303 and "/login?next=" in stranger.location
    every = {r.rule for r in house.app.url_map.iter_rules() if r.rule.startswith("/admin")}
    tried = {a.replace("{sub}", "<sub>").replace("/x/", "/<token>/") for a in GETS + POSTS}
    assert every == tried


def test_a_role_that_is_taken_away_is_gone_at_the_next_page(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.admin()
    house.person("bea", roles=("admin",))
    sub = browser.get("/whoami").json["sub"]
    house.accounts.people.set_roles(sub, (), BY_TEST)

    assert browser.get("/admin/people").status_code == 403


@pytest.mark.parametrize("address", RISKS)
def test_every_change_needs_a_fresh_proof(house, address: str) -> None:  # type: ignore[no-untyped-def]
    browser, person = house.admin(), house.person("rosa")
    house.clock.ahead_s += 1000
    answer = browser.post(f"/admin/people/{person.sub}/{address}", {"roles": "admin"})

    assert answer.status_code == 403 and "Is it still you?" in answer.text
    assert house.accounts.people.get(person.sub) == person


def test_people_are_found_by_any_of_their_names_and_come_in_pages(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.admin()
    for number in range(55):
        house.accounts.people.add(f"grower{number:02}", BY_TEST, email=f"g{number}@orchard.example")
    house.accounts.people.add("machine", BY_TEST, kind="service")

    page = browser.get("/admin/people").text
    assert page.count('href="/-/accounts/admin/people/') - page.count("people/new") == 50
    [onward] = re.findall(r'rel="next" href="([^"]+)"', page)
    rest = browser.get(onward.replace("&amp;", "&")).text
    assert "grower54" in rest and "First page" in rest and "machine" not in page + rest
    found = browser.get("/admin/people?q=G17%40ORCHARD").text
    assert "grower17" in found and "grower18" not in found
    assert "Nobody was found." in browser.get("/admin/people?q=%25").text


def test_roles_and_groups_are_replaced_and_hold_at_once(house) -> None:  # type: ignore[no-untyped-def]
    admin, rosa = house.admin(), house.inside("rosa")
    sub = rosa.get("/whoami").json["sub"]
    sent = {"roles": ["reader"], "groups": "growers, board ,growers"}
    answer = admin.post(f"/admin/people/{sub}/rights", sent)

    assert answer.status_code == 303 and int(answer.headers["Mergepoint-Feed"]) > 0
    known = rosa.get("/whoami").json
    assert (known["roles"], known["groups"]) == (["reader"], ["board", "growers"])


def test_a_role_the_site_does_not_have_is_not_given(house) -> None:  # type: ignore[no-untyped-def]
    admin, person = house.admin(), house.person("rosa")
    answer = admin.post(f"/admin/people/{person.sub}/rights", {"roles": ["emperor"], "groups": ""})

    assert answer.status_code == 422 and 'href="#roles"' in answer.text
    assert house.accounts.people.get(person.sub).roles == ()


def test_roles_are_not_saved_beside_a_group_that_is_refused(house) -> None:  # type: ignore[no-untyped-def]
    admin, person = house.admin(), house.person("rosa", groups=("growers",))
    before = house.accounts.audit.read()
    sent = {"roles": ["reader"], "groups": "growers, no\x07bell"}
    answer = admin.post(f"/admin/people/{person.sub}/rights", sent)

    assert answer.status_code == 422 and 'href="#groups"' in answer.text
    assert house.accounts.people.get(person.sub) == person
    assert house.accounts.audit.read() == before


def test_deleting_says_what_ends_and_leaves_the_log(house) -> None:  # type: ignore[no-untyped-def]
    admin, rosa = house.admin(), house.inside("rosa")
    sub = rosa.get("/whoami").json["sub"]
    token = house.accounts.tokens.create(sub, "laptop", BY_TEST)
    asked = admin.get(f"/admin/people/{sub}/delete").text
    assert "Delete rosa?" in asked and rosa.is_in()

    done = admin.post(f"/admin/people/{sub}/delete")

    assert done.status_code == 303 and int(done.headers["Mergepoint-Feed"]) > 0
    assert not rosa.is_in() and rosa.log_in("rosa").status_code == 422
    assert house.accounts.tokens.check("bearer", "", token.text, BY_TEST) is None
    assert admin.get(f"/admin/people/{sub}").status_code == 404
    log = admin.get("/admin/audit?user=rosa").text
    assert "person.added" in log and "person.deleted" in log


def test_nobody_deletes_the_account_they_are_using(house) -> None:  # type: ignore[no-untyped-def]
    admin = house.admin()
    house.person("bea", roles=("admin",))
    sub = admin.get("/whoami").json["sub"]

    assert admin.post(f"/admin/people/{sub}/delete").status_code == 422
    assert admin.get("/admin/people").status_code == 200


def test_a_deleted_service_leads_back_to_the_services(house) -> None:  # type: ignore[no-untyped-def]
    admin = house.admin()
    made = house.accounts.people.add("builder", BY_TEST, kind="service")

    assert "/admin/services" in admin.post(f"/admin/people/{made.sub}/delete").location
    assert "builder" not in admin.get("/admin/services").text


def test_the_last_administrator_stays_one(house) -> None:  # type: ignore[no-untyped-def]
    admin = house.admin()
    sub = admin.get("/whoami").json["sub"]

    taken = admin.post(f"/admin/people/{sub}/rights", {"groups": ""})
    disabled = admin.post(f"/admin/people/{sub}/disable")

    assert (taken.status_code, disabled.status_code) == (422, 422)
    assert "Somebody must be able to administer the site." in taken.text
    assert admin.get("/admin/people").status_code == 200


def test_a_disabled_person_is_out_at_once_and_back_when_enabled(house) -> None:  # type: ignore[no-untyped-def]
    admin, rosa = house.admin(), house.inside("rosa")
    sub = rosa.get("/whoami").json["sub"]
    admin.post(f"/admin/people/{sub}/disable")
    assert not rosa.is_in()
    assert rosa.log_in("rosa").status_code == 422
    assert "Disabled" in admin.get("/admin/people").text

    admin.post(f"/admin/people/{sub}/enable")
    assert not rosa.is_in()
    assert rosa.log_in("rosa").status_code == 303


def test_everybodys_sessions_can_be_ended(house) -> None:  # type: ignore[no-untyped-def]
    admin, rosa = house.admin(), house.inside("rosa")
    admin.post(f"/admin/people/{rosa.get('/whoami').json['sub']}/sign-out")

    assert not rosa.is_in()


def test_an_invitation_is_shown_once_and_carries_its_roles(house) -> None:  # type: ignore[no-untyped-def]
    admin = house.admin()
    made = admin.post("/admin/people/new", {"email": "", "roles": ["reader"]})
    [link] = re.findall(r'id="link">([^<]+)<', made.text)
    browser = house.browser()
    browser.post(link, {"user": "rosa", "name": "", "email": "", "password": PASSWORD})

    assert browser.get("/whoami").json["roles"] == ["reader"]
    assert link not in admin.get("/admin/people/new").text


def test_an_invitation_with_an_address_is_passed_on(house, passed_on) -> None:  # type: ignore[no-untyped-def]
    admin = house.admin()
    wrong = admin.post("/admin/people/new", {"email": "nowhere"})
    assert wrong.status_code == 422 and 'href="#email"' in wrong.text

    admin.post("/admin/people/new", {"email": "rosa@orchard.example"})
    assert len(passed_on()) == 1


def test_whoever_asked_for_a_new_password_is_shown_and_given_a_link(house) -> None:  # type: ignore[no-untyped-def]
    admin, person = house.admin(), house.person("rosa")
    house.browser().post("/forgot", {"user": "rosa"})
    assert "Asked for a new password" in admin.get("/admin/people").text

    made = admin.post(f"/admin/people/{person.sub}/reset").text
    [link] = re.findall(r'id="link">([^<]+)<', made)

    assert house.browser().post(link, {"password": "nine plums under it"}).status_code == 303
    assert "Asked for a new password" not in admin.get("/admin/people").text


def test_a_service_has_tokens_and_no_password(house) -> None:  # type: ignore[no-untyped-def]
    admin = house.admin()
    sent = {"user": "builder", "name": "Builds every commit", "roles": ["reader"]}
    address = admin.post("/admin/services", sent).location
    made = admin.post(address, {"label": "ci", "life": "forever"}).text
    [text] = re.findall(r"mpt_[a-z0-9]{12}_[A-Za-z0-9.-]{43}", made)
    checked = house.accounts.tokens.check("bearer", "", text, BY_TEST)
    assert checked is not None
    assert (checked.claims["kind"], checked.claims["user"]) == ("service", "builder")
    assert house.browser().log_in("builder", "").status_code == 422

    [revoke] = re.findall(r'action="([^"]+/revoke)"', admin.get(address.split("?")[0]).text)
    assert admin.post(revoke).status_code == 303
    assert house.accounts.tokens.check("bearer", "", text, BY_TEST) is None


def test_a_service_with_a_bad_name_is_not_made(house) -> None:  # type: ignore[no-untyped-def]
    admin = house.admin()
    for user in ("", "Not A Name", "ada"):
        answer = admin.post("/admin/services", {"user": user, "name": ""})
        assert answer.status_code == 422 and 'href="#user"' in answer.text


def test_a_person_is_not_a_service_and_a_stranger_is_nobody(house) -> None:  # type: ignore[no-untyped-def]
    admin, person = house.admin(), house.person("rosa")

    assert admin.get(f"/admin/services/{person.sub}").status_code == 404
    assert admin.get("/admin/people/nobody").status_code == 404
    assert admin.post("/admin/people/nobody/disable").status_code == 404


def test_the_audit_log_is_filtered_by_person_and_event_and_comes_in_pages(house) -> None:  # type: ignore[no-untyped-def]
    admin = house.admin()
    for number in range(60):
        house.accounts.people.add(f"grower{number:02}", BY_TEST)
    house.browser().log_in("grower07", "wrong")

    first = admin.get("/admin/audit").text
    assert first.count("<tr>") == 51
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = admin.get(older.replace("&amp;", "&")).text
    assert "grower00" in second and "grower00" not in first and "Newest" in second
    mine = admin.get("/admin/audit?user=grower07").text
    assert "login.refused" in mine and "person.added" in mine and "grower08" not in mine
    only = admin.get("/admin/audit?event=login.refused").text
    assert only.count("<tr>") == 2
    assert "Nothing was found." in admin.get("/admin/audit?user=nobody").text
    assert admin.get("/admin/audit?before=x").status_code == 200
