"""What every page goes through: who asks, in which language, and how an answer leaves.

Place:  pages.wiring -> [pages.door] -> service, templates
Rule:   the session is read from the database for every page, so that what ended has ended here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from flask import Response, g, make_response, redirect, render_template, request, url_for

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.pages import language
from mergepoint.identity.accounts.pages.ceremony import relying_party
from mergepoint.identity.accounts.pages.destination import own_path
from mergepoint.identity.accounts.pages.language import Speech
from mergepoint.identity.accounts.pages.letters import Deliver
from mergepoint.identity.accounts.pages.oidc import OpenIdClient
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.cookies import device_name, refresh_name
from mergepoint.identity.accounts.service.links import IssuedLink
from mergepoint.identity.accounts.service.logins import Browser
from mergepoint.identity.accounts.service.mailer import Letter
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.service.sessions import SessionInfo, Started
from mergepoint.identity.accounts.service.throttle import ADDRESS, Bucket, network_of

LANGUAGE_COOKIE = "mergepoint-lang"
LANGUAGE_LIFE_S = 400 * 86400

log = logging.getLogger("mergepoint.accounts")


@dataclass(frozen=True, slots=True)
class Who:
    """The one who is logged in, as the database says now."""

    person: Person
    session: SessionInfo
    is_admin: bool

    @property
    def user(self) -> str:
        """Return the name to log in with."""
        return self.person.user

    @property
    def title(self) -> str:
        """Return what people call them."""
        return self.person.title


class Door:
    """The services of the accounts app and the request that goes through."""

    def __init__(self, service: Accounts, settings: AccountsSettings, deliver: Deliver) -> None:
        self.service = service
        self.settings = settings
        self._deliver = deliver
        self.clock: Clock = service.clock
        self.openid = OpenIdClient(service.clock)
        self.log = log
        self.offers_passkeys = settings.passkeys and bool(relying_party(settings))
        """Passkeys belong to a domain; a site reached by an address alone has none."""
        self._versions = _static_versions()

    # --- who asks ---------------------------------------------------------------------------------

    def enter(self) -> None:
        """Read who asks; once per request, before anything else."""
        g.caller = Caller(
            address=request.remote_addr or "",
            agent=request.user_agent.string,
            request_id=request.headers.get("X-Request-Id", ""),
            secure=request.is_secure,
        )
        g.set_cookie = []
        g.who = self._read_session()
        if g.who is not None:
            g.caller.sub, g.caller.user = g.who.person.sub, g.who.user
        wished = (g.who.person.lang if g.who else "", request.cookies.get(LANGUAGE_COOKIE, ""))
        accept = request.headers.get("Accept-Language", self.settings.lang)
        g.say = language.speech(language.choose(wished, accept))

    def _read_session(self) -> Who | None:
        cookie = self.refresh_cookie
        if not cookie:
            return None
        found = self.service.sessions.current(cookie)
        if found is None:
            return None
        if self.clock.unix_s() - found.session.seen_at > self.settings.token_life_s:
            # Without an edge nobody else keeps the session awake.
            self.give(self.service.sessions.refresh(cookie, self.caller))
        return self._known(found.person, found.session)

    def _known(self, person: Person, session: SessionInfo) -> Who:
        admin = bool(set(person.roles) & set(self.settings.administrator_roles))
        return Who(person, session, admin)

    @property
    def caller(self) -> Caller:
        """Return who the audit log will name."""
        return g.caller  # type: ignore[no-any-return]

    @property
    def who(self) -> Who | None:
        """Return who is logged in."""
        who: Who | None = g.get("who")
        return who

    @property
    def me(self) -> Who:
        """Return who is logged in, on pages that nobody else reaches."""
        who = self.who
        if who is None:
            raise LookupError("this page is only for somebody who is logged in")
        return who

    @property
    def say(self) -> Speech:
        """Return the sentences in the language of this request."""
        return g.say if "say" in g else language.speech(language.LANGUAGES[0])

    @property
    def refresh_cookie(self) -> str:
        """Return the refresh cookie of this kind of connection."""
        return request.cookies.get(refresh_name(request.is_secure), "")

    @property
    def browser(self) -> Browser:
        """Return what this browser came with."""
        device = request.cookies.get(device_name(request.is_secure), "")
        return Browser(device=device, refresh=self.refresh_cookie)

    def is_recent(self) -> bool:
        """Tell whether the proof of who one is is young enough for a sensitive change."""
        return self.clock.unix_s() - self.me.session.auth_at <= self.settings.recent_s

    @property
    def is_at_home(self) -> bool:
        """Tell whether the browser came by the public URL: passkeys work nowhere else."""
        return f"{request.scheme}://{request.host}" == self.settings.public_url

    def too_often(self, kind: str) -> float:
        """Count one beginning from this address; return the seconds to wait, 0 to go on.

        For what anybody may begin and the database has to remember.
        """
        bucket = Bucket(kind, network_of(self.caller.address), ADDRESS)
        return self.service.throttle.take([bucket], self.caller).retry_after_s

    def deliver(self, link: IssuedLink, email: str, person: Person | None = None) -> None:
        """Send a one-time link on its way; nobody waits for it, and no fault of it comes back."""
        user, lang = (person.user, person.lang) if person else ("", "")
        self._deliver(Letter(link, email, user, lang or self.say.lang), self.caller)

    def renew(self, amr: Iterable[str]) -> bool:
        """Note a fresh proof in the session, which gets a new id; False when it has ended."""
        step = self.service.logins.stronger(self.me.session.sid, amr, self.caller)
        self.take(step.started)
        return step.started is not None

    def take(self, started: Started | None) -> None:
        """Go on as this session: its cookies are set and its id is the one to keep."""
        if started is not None:
            self.give(started)
            g.who = self._known(started.person, started.session)

    def factors_of(self, person: Person) -> list[str]:
        """Return the ways in that somebody has."""
        have = self.service.factors.of(person.sub)
        named = {
            "password": person.password_at is not None,
            "passkey": have.passkeys > 0,
            "totp": have.totp,
            "recovery": have.recovery_left > 0,
            "provider": bool(self.service.providers.of(person.sub)),
        }
        return [name for name, there in named.items() if there]

    # --- how an answer leaves ---------------------------------------------------------------------

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """Return a page in the language of the request."""
        here = request.full_path.rstrip("?") if request.method == "GET" else request.path
        shown = {
            "t": self.say,
            "lang": self.say.lang,
            "languages": language.known(),
            "site": self.settings.title or self.settings.site,
            "settings": self.settings,
            "offers_passkeys": self.offers_passkeys and self.is_at_home,
            "who": self.who,
            "asset": self.asset,
            "current": request.endpoint,
            "here": f"{request.script_root}{here}",
            "news": self._news(),
        }
        return make_response(render_template(template, **{**shown, **context}), status)

    def message(self, key: str, status: int, *, onward: str = "", **values: object) -> Response:
        """Return a page that says one thing: sentences `key` and `key`_text."""
        return self.page(
            "message.html",
            status,
            heading=self.say(key, **values),
            text=self.say(f"{key}_text", **values),
            onward=onward or url_for("accounts.start"),
            onward_text=self.say("refused.back"),
        )

    def send(self, endpoint: str, said: str = "", **values: Any) -> Response:
        """Send the browser to a page of ours, which then says the sentence ``said.NAME``."""
        # An argument that is None is left out of the address.
        return self.send_to(url_for(endpoint, **values, said=said or None))

    def send_to(self, address: str) -> Response:
        """Send the browser on with a GET."""
        return make_response(redirect(address, 303))

    def send_to_login(self, after: str) -> Response:
        """Send somebody unknown to the login, and back to `after`."""
        return self.send_to(f"{url_for('accounts.login')}?{urlencode({'next': after})}")

    def after_login(self, asked: str | None) -> str:
        """Return where to go after a login: the path asked for, or one's own page."""
        return own_path(asked, url_for("accounts.start"))

    def give(self, started: Started | None) -> None:
        """Set the cookies of a session on the answer."""
        if started is not None:
            self.give_cookies(started.set_cookie)

    def give_cookies(self, cookies: Iterable[str]) -> None:
        """Set cookies on the answer."""
        g.set_cookie.extend(cookies)

    def leave(self, response: Response) -> Response:
        """Put on the answer what every answer carries."""
        for cookie in g.get("set_cookie", ()):
            response.headers.add("Set-Cookie", cookie)
        if "caller" in g and g.caller.position:
            response.headers["Mergepoint-Feed"] = str(g.caller.position)
        return response

    def asset(self, name: str) -> str:
        """Return the address of a static file; another one when its content is another."""
        return url_for("accounts.static", filename=name, v=self._versions[name])

    def _news(self) -> str:
        """Return the sentence a redirect of ours asked for; a link from elsewhere cannot."""
        said = request.args.get("said", "")
        own = request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
        return self.say.sentences.get(f"said.{said}", "") if said and own else ""


def shown(moment: float) -> str:
    """Return a Unix time for people; the page's script turns it into the reader's own."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def iso(moment: float) -> str:
    """Return a Unix time for programs (RFC 3339)."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _static_versions() -> dict[str, str]:
    place = files(__package__) / "static"
    return {f.name: sha256(f.read_bytes()).hexdigest()[:12] for f in place.iterdir() if f.is_file()}
