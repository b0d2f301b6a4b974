"""Links by mail: they arrive over a way nobody reads, and none is lost without a word."""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path

import pytest
from mergepoint_testkit.certificates import issue
from mergepoint_testkit.peers import free_port

from mergepoint.identity.accounts.application import assembled
from mergepoint.identity.accounts.config import Mail, MailSecurity, Register
from mergepoint.identity.accounts.pages import language
from mergepoint.identity.accounts.service.links import Purpose

from .conftest import PASSWORD, House, Raise
from .mail_server import link_in, mail_server, silent_server

NEW = "nine plums under it"
EMAIL = "rosa@orchard.example"
SETTLED_S_MAX = 60.0
POLL_S = 0.02


def mail_at(port: int, **changed: object) -> Mail:
    told: dict[str, object] = {
        "host": "localhost", "port": port, "security": MailSecurity.NONE, "retry_s": 0.01,
        "sender": "Acme <accounts@acme.example>", "timeout_s": 30.0, "attempts_max": 3,
    }  # fmt: skip
    return Mail(**{**told, **changed})  # type: ignore[arg-type]


def posting(raised: Raise, mail: Mail, **settings: object) -> House:
    """A house that sends its links itself."""
    house = raised(mail=mail, **settings)
    house.app = assembled(house.accounts)
    return house


def settled(house: House, *wanted: str) -> list[dict[str, object]]:
    """Wait until the audit log has these events of mail, the oldest first; return their details."""
    deadline = time.monotonic() + SETTLED_S_MAX
    while True:
        rows = list(reversed(house.accounts.audit.read(event="mail.")))
        if len(rows) >= len(wanted) or time.monotonic() > deadline:
            assert [row.event for row in rows] == list(wanted)
            return [dict(row.detail) for row in rows]
        time.sleep(POLL_S)


def contexts(directory: Path) -> tuple[ssl.SSLContext, str]:
    """A server's TLS and the file of certificates that trusts it."""
    places = issue(directory, "mail", "localhost", common="localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(places["cert"], places["key"])
    return context, places["cert"]


def test_a_forgotten_password_is_set_by_the_letter_in_ones_own_language(raised: Raise) -> None:
    with mail_server() as box:
        house = posting(raised, mail_at(box.port))
        house.person("rosa", email=EMAIL, lang="de")
        asked = house.browser().post("/forgot", {"user": "rosa"})
        letter = box.letter()
        browser = house.browser()

        assert asked.status_code == 200 and "/link/" not in asked.text
        assert box.to == [EMAIL]
        assert (letter["From"], letter["To"]) == ("Acme <accounts@acme.example>", EMAIL)
        assert letter["Subject"] == "Neues Passwort für Acme"
        assert letter["Auto-Submitted"] == "auto-generated"
        assert browser.post(link_in(letter), {"password": NEW}).status_code == 303
        assert browser.is_in()
        [told] = settled(house, "mail.sent")
    assert (told["purpose"], told["email"], told["tries"]) == ("reset", EMAIL, 1)


def test_an_invitation_is_sent_and_still_shown(raised: Raise) -> None:
    with mail_server() as box:
        house = posting(raised, mail_at(box.port))
        made = house.admin().post("/admin/people/new", {"email": EMAIL, "roles": ["reader"]})
        link = link_in(box.letter())
        browser = house.browser()
        sent = {"user": "rosa", "name": "", "email": EMAIL, "password": PASSWORD}

        assert link in made.text
        assert browser.post(link, sent).status_code == 303
        known = browser.get("/whoami").json
        assert (known["email"], known["roles"]) == (EMAIL, ["reader"])
        settled(house, "mail.sent")


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it is TLS below
@pytest.mark.parametrize("kind", [MailSecurity.STARTTLS, MailSecurity.TLS])
def test_letters_travel_by_tls_after_a_login_with_the_password_of_a_file(
    raised: Raise, tmp_path: Path, kind: MailSecurity
) -> None:
    context, ca = contexts(tmp_path)
    secret = tmp_path / "smtp-password"
    secret.write_text("of the site\n")
    how = {"starttls": context} if kind is MailSecurity.STARTTLS else {"tls": context}
    with mail_server(login=("acme", "of the site"), **how) as box:
        mail = mail_at(box.port, security=kind, ca=ca, user="acme", password_file=str(secret))
        house = posting(raised, mail)
        house.person("rosa", email=EMAIL)
        house.browser().post("/forgot", {"user": "rosa"})
        box.letter()
        settled(house, "mail.sent")

    assert box.over_tls == [True]


def failing(
    house: House, caplog: pytest.LogCaptureFixture, *events: str
) -> list[dict[str, object]]:
    """Let somebody ask for a link that cannot be sent, and return what the audit log says."""
    rosa = house.person("rosa", email=EMAIL)
    with caplog.at_level(logging.DEBUG):
        known = house.browser().post("/forgot", {"user": "rosa"}).text
        unknown = house.browser().post("/forgot", {"user": "nobody"}).text
        told = settled(house, *events)

    assert known == unknown, "whoever asks learns nothing of mail"
    assert "next: mergepoint users passwd rosa --link" in caplog.text
    assert "/link/" not in caplog.text and "/link/" not in str(told)
    [waits] = [one for one in house.accounts.links.open_links(Purpose.RESET) if one.sub == rosa.sub]
    assert "Asked for a new password" in house.admin().get("/admin/people").text
    assert waits.id in [one["link"] for one in told]
    return told


def test_a_refusal_for_good_is_written_down_at_once(
    raised: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server("550 5.1.1 nobody here") as box:
        house = posting(raised, mail_at(box.port))
        [told] = failing(house, caplog, "mail.failed")

    assert told["why"] == "the server says 550 5.1.1 nobody here"
    assert told["tries"] == 1


def test_a_server_that_repeats_the_link_brings_it_into_no_log(
    raised: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server() as box:
        box.repeats = True
        house = posting(raised, mail_at(box.port))
        rosa = house.person("rosa", email=EMAIL)
        with caplog.at_level(logging.INFO, "mergepoint.accounts"):
            house.browser().post("/forgot", {"user": "rosa"})
            [told] = settled(house, "mail.failed")

    assert str(told["why"]).endswith("/link/***")
    assert "/link/***" in caplog.text
    [waits] = [one for one in house.accounts.links.open_links(Purpose.RESET) if one.sub == rosa.sub]
    assert waits.id == told["link"]


def test_a_refusal_for_now_is_tried_again_until_the_letter_is_taken(raised: Raise) -> None:
    with mail_server("451 greylisted", "421 busy") as box:
        house = posting(raised, mail_at(box.port))
        house.person("rosa", email=EMAIL)
        house.browser().post("/forgot", {"user": "rosa"})
        box.letter()
        told = settled(house, "mail.retried", "mail.retried", "mail.sent")

    assert [one["tries"] for one in told] == [1, 2, 3]
    assert box.letters.empty()


def test_a_server_that_is_not_there_is_tried_as_often_as_it_says(
    raised: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    house = posting(raised, mail_at(free_port()))
    told = failing(house, caplog, "mail.retried", "mail.retried", "mail.failed")

    assert "ConnectionRefusedError" in str(told[-1]["why"])


@pytest.mark.parametrize("drip", [b"", b"2"], ids=["silent", "dripping"])
def test_a_slow_server_gets_its_time_and_no_more_and_keeps_nobody_waiting(
    raised: Raise, caplog: pytest.LogCaptureFixture, drip: bytes
) -> None:
    with silent_server(drip=drip) as port:
        house = posting(raised, mail_at(port, timeout_s=1.5, attempts_max=1))
        house.person("eve", email="eve@orchard.example")
        answer = house.browser().post("/forgot", {"user": "eve"})
        unfinished = house.accounts.audit.read(event="mail.")
        told = failing(house, caplog, "mail.failed", "mail.failed")

    assert answer.status_code == 200
    assert unfinished == [], "the page was answered while the letter was on its way"
    assert "took longer than 1.5 s" in str(told[0]["why"]) or "timed out" in str(told[0]["why"])


def test_a_server_without_tls_where_tls_is_asked_for_gets_nothing(
    raised: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    with mail_server() as box:
        mail = mail_at(box.port, security=MailSecurity.STARTTLS, user="acme", password="secret")
        [told] = failing(posting(raised, mail), caplog, "mail.failed")

        assert "STARTTLS" in str(told["why"])
        assert box.letters.empty()


def test_a_server_that_nobody_vouches_for_gets_nothing(
    raised: Raise, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    context, _ = contexts(tmp_path)
    with mail_server(starttls=context) as box:
        mail = mail_at(box.port, security=MailSecurity.STARTTLS, attempts_max=1)
        [told] = failing(posting(raised, mail), caplog, "mail.failed")

        assert "CERTIFICATE_VERIFY_FAILED" in str(told["why"])
        assert box.letters.empty()


def test_a_wrong_password_is_final_and_stands_nowhere(
    raised: Raise, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    context, ca = contexts(tmp_path)
    with mail_server(starttls=context, login=("acme", "the right one")) as box:
        mail = mail_at(
            box.port, security=MailSecurity.STARTTLS, ca=ca, user="acme", password="hunter-2-plums"
        )
        [told] = failing(posting(raised, mail), caplog, "mail.failed")

    assert "535" in str(told["why"])
    assert "hunter-2-plums" not in caplog.text + str(told) + repr(mail)


def test_a_full_queue_refuses_a_letter_and_says_so(
    raised: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    with silent_server() as port:
        house = posting(raised, mail_at(port, queue_max=1, attempts_max=1, timeout_s=2.0))
        house.person("eve", email="eve@orchard.example")
        house.browser().post("/forgot", {"user": "eve"})
        told = failing(house, caplog, "mail.failed", "mail.failed")

    assert "1 letters wait already" in str(told[0]["why"]) or "1 letters" in str(told[1]["why"])


def test_a_letter_that_still_waits_when_accounts_stops_is_written_down(raised: Raise) -> None:
    with mail_server("451 later") as box:
        house = posting(raised, mail_at(box.port, retry_s=3600.0))
        house.person("rosa", email=EMAIL)
        house.browser().post("/forgot", {"user": "rosa"})
        settled(house, "mail.retried")
        assert house.accounts.mailer is not None
        house.accounts.mailer.stop()
        house.accounts.mailer.stop()

        told = settled(house, "mail.retried", "mail.failed")
    assert told[-1]["why"] == "accounts was stopped"


def test_a_letter_just_posted_is_tried_before_accounts_stops(raised: Raise) -> None:
    with mail_server() as box:
        house = posting(raised, mail_at(box.port))
        house.person("rosa", email=EMAIL)
        house.browser().post("/forgot", {"user": "rosa"})
        assert house.accounts.mailer is not None
        house.accounts.mailer.stop()

        settled(house, "mail.sent")
        assert not box.letters.empty()


def test_whoever_knows_a_name_fills_nobodys_letter_box(raised: Raise) -> None:
    with mail_server() as box:
        house = posting(raised, mail_at(box.port))
        house.clock.stop()
        house.person("rosa", email=EMAIL)
        for _ in range(5):
            house.browser().post("/forgot", {"user": "rosa"})
        first = link_in(box.letter())
        settled(house, "mail.sent")
        house.clock.ahead_s += 61
        house.browser().post("/forgot", {"user": "rosa"})
        settled(house, "mail.sent", "mail.sent")

        assert link_in(box.letter()) != first
        assert box.letters.empty()


def test_a_new_address_counts_once_its_letter_was_answered(raised: Raise) -> None:
    with mail_server() as box:
        house = posting(raised, mail_at(box.port))
        browser = house.inside("rosa", email="old@orchard.example")
        saved = browser.post("/profile", {"name": "Rosa", "email": EMAIL, "lang": "en"})
        assert "said=address_asked" in saved.location
        before = browser.get("/whoami").json
        again = browser.post("/profile", {"name": "Rosa", "email": "x@y.example", "lang": "en"})
        link = link_in(box.letter())
        reader = house.browser()

        assert (before["name"], before["email"]) == ("Rosa", "old@orchard.example")
        assert again.status_code == 422 and "already" in again.text
        assert box.to == [EMAIL]
        assert EMAIL in reader.get(link).text, "a program that opens links proves nothing"
        assert browser.get("/whoami").json["email"] == "old@orchard.example"
        assert reader.post(link).status_code == 200
        assert browser.get("/whoami").json["email"] == EMAIL
        assert reader.post(link).status_code == 410
        assert not reader.is_in(), "the letter proves an address, not a person"


def test_an_address_typed_at_registration_is_nobodys_until_it_is_proven(raised: Raise) -> None:
    with mail_server() as box:
        house = posting(raised, mail_at(box.port), register=Register.OPEN)
        mallory = house.browser()
        sent = {"user": "mallory", "name": "", "email": EMAIL, "password": PASSWORD}
        assert mallory.post("/register", sent).status_code == 303
        link = link_in(box.letter())

        assert mallory.get("/whoami").json["email"] == ""
        assert house.accounts.people.find_login(EMAIL) is None
        house.browser().post(link)
        assert mallory.get("/whoami").json["email"] == EMAIL


def test_somebody_without_an_address_is_told_to_the_operator(
    raised: Raise, caplog: pytest.LogCaptureFixture
) -> None:
    house = posting(raised, mail_at(free_port()))
    house.person("rosa")
    with caplog.at_level(logging.DEBUG):
        house.browser().post("/forgot", {"user": "rosa"})

    assert "mergepoint users passwd rosa --link" in caplog.text
    assert house.accounts.audit.read(event="mail.") == []


@pytest.mark.parametrize("lang", language.LANGUAGES)
def test_every_kind_of_letter_has_its_words(lang: str) -> None:
    say = language.speech(lang)
    for purpose in (Purpose.RESET, Purpose.INVITE, Purpose.ADDRESS):
        for part in ("subject", "text", "else"):
            say(f"mail.{purpose}_{part}", site="Acme", user="rosa", email=EMAIL)
