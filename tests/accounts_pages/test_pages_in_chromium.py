"""The accounts pages in a real browser: passkeys, keyboard, contrast, phone, and no script."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from mergepoint.identity.accounts.caller import Caller

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
MEASURES = Path(__file__).parents[1] / "browser"
ACTION_MS_MAX = 20_000
MOUNT = "/-/accounts"
PASSWORD = "seven pears on a wall"
BY_TEST = Caller(user="(test)")
DESKTOP, PHONE = {"width": 1200, "height": 800}, {"width": 360, "height": 740}
DOORS = ["/login", "/forgot", "/logout", "/link/nothing", "/nowhere"]
ROOMS = ["/profile", "/security", "/security/totp", "/sessions", "/tokens", "/admin/people",
         "/admin/people/new", "/admin/services", "/admin/audit"]  # fmt: skip


@Request.application
def front(request: Request) -> Response:
    """Stand for the other apps of the site."""
    return Response(
        f"<!doctype html><title>Front</title><h1>{request.path}</h1>", mimetype="text/html"
    )


@dataclass
class Running:
    """A house that answers on this machine."""

    house: Any
    url: str


@pytest.fixture
def running(raised) -> Iterator[Running]:  # type: ignore[no-untyped-def]
    made: dict[str, Any] = {}
    apps = DispatcherMiddleware(front, {MOUNT: lambda *told: made["app"](*told)})
    server = make_server("localhost", 0, apps, threaded=True)
    url = f"http://localhost:{server.server_port}"
    house = raised(public_url=url)
    made["app"] = house.app
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Running(house, url)
    server.shutdown()
    thread.join()
    server.server_close()


class Reader:
    """Opens pages and remembers what the browser complained about."""

    def __init__(self, chromium: Browser, url: str) -> None:
        self._chromium = chromium
        self._url = url
        self.complaints: list[str] = []
        self.contexts: list[BrowserContext] = []

    def open(self, address: str = "/login", **options: Any) -> Page:
        told = {"viewport": DESKTOP, "locale": "en-GB", "base_url": self._url, **options}
        context = self._chromium.new_context(**told)
        context.set_default_timeout(ACTION_MS_MAX)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(MOUNT + address)
        return page

    def _heard(self, message: Any) -> None:
        refused = "status of 4" in message.text  # an answer that a test asked for
        if message.type in {"error", "warning"} and not refused:
            self.complaints.append(f"{message.text} {message.location}")

    def log_in(self, user: str, address: str = "/login", **options: Any) -> Page:
        page = self.open(address, **options)
        page.get_by_label("User name or email").fill(user)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        page.wait_for_url(lambda address: "/login" not in address)
        return page


@pytest.fixture
def reader(chromium: Browser, running: Running) -> Iterator[Reader]:
    made = Reader(chromium, running.url)
    yield made
    for context in made.contexts:
        context.close()
    assert made.complaints == []


def authenticator(page: Page) -> Any:
    """Give the browser a passkey store that answers by itself; return its session."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable", {"enableUI": False})
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
        "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, made["authenticatorId"]


def arrived(page: Page, path: str) -> None:
    """Wait for the front's own page, which shows its path."""
    expect(page.get_by_role("heading", level=1)).to_have_text(path, timeout=ACTION_MS_MAX)


def with_passkey(reader: Reader, house: Any) -> tuple[Page, Any, str]:
    house.person("rosa", name="Rosa")
    page = reader.log_in("rosa", "/login?next=/-/accounts/security")
    session, identifier = authenticator(page)
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("status").filter(has_text="The passkey is added.")).to_be_visible()
    return page, session, identifier


def test_a_passkey_is_added_and_logs_in_without_a_name(reader, running) -> None:  # type: ignore[no-untyped-def]
    page, session, identifier = with_passkey(reader, running.house)
    expect(page.get_by_role("strong").filter(has_text="Chrome on Linux")).to_be_visible()
    known = session.send("WebAuthn.getCredentials", {"authenticatorId": identifier})
    assert [c["isResidentCredential"] for c in known["credentials"]] == [True]

    page.get_by_role("button", name="Log out").click()
    # Without the browser's own list, which would answer before the button is pressed.
    page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
    page.goto(f"{MOUNT}/login?next=/wiki/")
    page.get_by_role("button", name="Log in with a passkey").click()
    arrived(page, "/wiki/")
    page.goto(f"{MOUNT}/whoami")
    assert '"amr":["hwk","user","mfa"]' in page.content().replace(" ", "")


def test_the_browsers_own_list_logs_in_without_a_click(reader, running) -> None:  # type: ignore[no-untyped-def]
    page, _, _ = with_passkey(reader, running.house)
    page.get_by_role("button", name="Log out").click()

    page.goto(f"{MOUNT}/login?next=/wiki/")

    arrived(page, "/wiki/")


def test_a_passkey_is_the_second_step_of_somebody_who_has_one(reader, running) -> None:  # type: ignore[no-untyped-def]
    page, session, identifier = with_passkey(reader, running.house)
    page.get_by_role("button", name="Log out").click()
    told = {"authenticatorId": identifier, "enabled": False}
    session.send("WebAuthn.setAutomaticPresenceSimulation", told)
    page.goto(f"{MOUNT}/login?next=/wiki/")
    page.get_by_label("User name or email").fill("rosa")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("One more step")

    session.send("WebAuthn.setAutomaticPresenceSimulation", {**told, "enabled": True})
    page.get_by_role("button", name="Use a passkey").click()

    arrived(page, "/wiki/")


def test_a_passkey_proves_again_and_what_was_sent_is_done(reader, running) -> None:  # type: ignore[no-untyped-def]
    page, _, _ = with_passkey(reader, running.house)
    running.house.clock.ahead_s += 1000
    page.goto(f"{MOUNT}/tokens")
    page.get_by_label("Label").fill("build machine")
    page.get_by_role("button", name="Create token").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Is it still you?")

    page.get_by_role("button", name="Confirm with a passkey").click()

    expect(page.get_by_text("Copy the token now")).to_be_visible()
    expect(page.get_by_role("strong").filter(has_text="build machine")).to_be_visible()


def test_a_passkey_is_renamed_and_removed(reader, running) -> None:  # type: ignore[no-untyped-def]
    page, _, _ = with_passkey(reader, running.house)
    page.get_by_text("Change Chrome on Linux").click()
    page.locator("#name-1").fill("The little key")
    page.get_by_role("button", name="Rename").click()
    expect(page.get_by_text("The little key").first).to_be_visible()

    page.get_by_text("Change The little key").click()
    page.get_by_role("button", name="Remove The little key").click()

    expect(page.get_by_text("You have no passkey yet.")).to_be_visible()


def test_closing_the_browsers_question_leaves_the_form_usable(reader, running) -> None:  # type: ignore[no-untyped-def]
    running.house.person("rosa")
    page = reader.open("/login")
    authenticator(page)
    page.get_by_role("button", name="Log in with a passkey").click()

    expect(page.get_by_text("The passkey was not used")).to_be_visible()
    page.get_by_label("User name or email").fill("rosa")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Profile")


def test_everything_but_passkeys_works_without_javascript(reader, running) -> None:  # type: ignore[no-untyped-def]
    house = running.house
    house.person("rosa")
    page = reader.log_in("rosa", java_script_enabled=False)
    page.get_by_role("link", name="Security").click()
    expect(page.get_by_role("button", name="Add a passkey")).to_be_hidden()
    page.get_by_role("link", name="Set up").click()
    page.get_by_text("I cannot scan it").click()
    secret = page.locator("#seed").inner_text().replace(" ", "")
    page.get_by_label("Code from your authenticator app").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Switch on").click()
    expect(page.locator(".codes li")).to_have_count(10)

    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Recovery codes left: 10")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are logged out")


def test_a_wrong_login_is_read_out_first_and_leads_to_the_field(reader, running) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/login")
    page.get_by_label("User name or email").fill("rosa")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.keyboard.press("Enter")

    summary = page.get_by_role("alert")
    expect(summary).to_be_focused()
    summary.get_by_role("link").click()
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    expect(page.get_by_label("Password", exact=True)).to_have_attribute("aria-invalid", "true")


def test_the_keyboard_goes_through_the_login_in_reading_order(reader, running) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/login")
    expect(page.get_by_label("User name or email")).to_be_focused()
    order = []
    for _ in range(5):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.innerText || document.activeElement.id"))

    assert [text.strip() for text in order] == [
        "Forgot it?", "password", "Show password", "Log in", "Log in with a passkey",
    ]  # fmt: skip


def test_a_password_can_be_looked_at(reader, running) -> None:  # type: ignore[no-untyped-def]
    page = reader.open("/login")
    typed = page.get_by_label("Password", exact=True)
    typed.fill("pear")
    button = page.get_by_role("button", name="Show password")
    button.click()

    expect(typed).to_have_attribute("type", "text")
    expect(button).to_have_attribute("aria-pressed", "true")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(reader, running, scheme: str) -> None:  # type: ignore[no-untyped-def]
    script = (MEASURES / "contrasts.js").read_text()
    running.house.person("ada", name="Ada", roles=("admin",))
    doors, rooms = every(running.house)
    stranger = reader.open("/login", color_scheme=scheme)
    insider = reader.log_in("ada", color_scheme=scheme)

    assert {a: f for a, f in measured(stranger, doors, script).items() if f} == {}
    assert {a: f for a, f in measured(insider, rooms, script).items() if f} == {}


@pytest.mark.parametrize("lang", ["en", "de"])
def test_a_phone_shows_every_page_without_scrolling_sideways(reader, running, lang: str) -> None:  # type: ignore[no-untyped-def]
    phone = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    small = f"() => ({(MEASURES / 'small_targets.js').read_text()})(24)"
    running.house.person("ada", name="Ada Longname of the Orchard", lang=lang, roles=("admin",))
    doors, rooms = every(running.house)
    stranger, insider = reader.open(locale=lang, **phone), reader.log_in("ada", **phone)
    wide = "() => document.documentElement.scrollWidth - innerWidth"

    for page, addresses in ((stranger, doors), (insider, rooms)):
        assert {a: px for a, px in measured(page, addresses, wide).items() if px > 0} == {}
        assert {a: f for a, f in measured(page, addresses, small).items() if f} == {}


def test_every_page_has_a_language_a_title_one_heading_and_named_controls(reader, running) -> None:  # type: ignore[no-untyped-def]
    running.house.person("ada", roles=("admin",))
    doors, rooms = every(running.house)
    stranger, insider = reader.open("/login"), reader.log_in("ada")
    script = """() => {
      const wrong = [];
      if (document.documentElement.lang !== "en") wrong.push("no language");
      if (!document.title.endsWith("· Acme")) wrong.push(`title ${document.title}`);
      if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
      if (!document.querySelector("main")) wrong.push("no main");
      for (const e of document.querySelectorAll("input:not([type=hidden], [aria-hidden]), select"))
        if (!e.labels.length) wrong.push(`no label: ${e.name}`);
      for (const e of document.querySelectorAll("a, button"))
        if (!e.textContent.trim()) wrong.push(`no name: ${e.outerHTML.slice(0, 60)}`);
      const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
      if (new Set(ids).size !== ids.length) wrong.push(`ids twice: ${ids}`);
      return wrong;
    }"""

    assert {a: f for a, f in measured(stranger, doors, script).items() if f} == {}
    assert {a: f for a, f in measured(insider, rooms, script).items() if f} == {}


def every(house: Any) -> tuple[list[str], list[str]]:
    """Return the pages for strangers and for administrators, those about somebody among them."""
    person = house.person("rosa-of-the-orchard-beyond", name="Rosa", roles=("reader",))
    service = house.accounts.people.add("builder", BY_TEST, kind="service")
    proof = house.accounts.joining.address_link(person.sub, "rosa@orchard.example", BY_TEST)
    about = [
        f"/admin/people/{one.sub}{page}" for one in (person, service) for page in ("", "/delete")
    ]
    return [*DOORS, proof.url.partition(MOUNT)[2]], [*ROOMS, *about]


def measured(page: Page, addresses: list[str], script: str) -> dict[str, Any]:
    """Return what a script finds on each page."""
    found = {}
    for address in addresses:
        page.goto(MOUNT + address)
        found[address] = page.evaluate(script)
    return found
