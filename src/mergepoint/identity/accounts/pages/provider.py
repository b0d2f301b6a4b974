"""Logging in at an OpenID Connect provider: going there, coming back, connecting, proving again.

Place:  pages.wiring -> [pages.provider] -> pages.oidc, pages.linking, service.logins
Rule:   what was begun is kept on the server, bound to this browser by a cookie, and ends once.
"""

from __future__ import annotations

from flask import Response, request, url_for

from mergepoint.identity.accounts.config import Provider
from mergepoint.identity.accounts.pages import attempt_cookie
from mergepoint.identity.accounts.pages.destination import own_path
from mergepoint.identity.accounts.pages.door import Door
from mergepoint.identity.accounts.pages.forms import waiting
from mergepoint.identity.accounts.pages.linking import Linking, arrive, connect
from mergepoint.identity.accounts.pages.oidc import (
    ProviderInvalid,
    ProviderRefused,
    Visitor,
)
from mergepoint.identity.accounts.pages.oidc_metadata import ProviderLost
from mergepoint.identity.accounts.pages.routes import Needs, Route
from mergepoint.identity.accounts.service.attempts import Attempt
from mergepoint.identity.accounts.service.errors import Refused, unknown
from mergepoint.identity.accounts.service.logins import Status

PURPOSE = "provider.login"
LOGIN, LINK, AGAIN = "login", "link", "again"
AMR = ("fed",)


class ProviderPages:
    """The way in through somebody else's door."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._linking = Linking(door)

    def routes(self) -> list[Route]:
        """Return the pages of this group."""
        nobody, get = Needs.NOBODY, ("GET",)
        return [
            Route("/login/with/<name>", "provider_login", self.go, get, nobody),
            Route("/login/back/<name>", "provider_back", self.back, get, nobody),
            Route("/security/linked/<name>/on", "provider_connect", self.go_link, recent=get),
        ]

    def go(self, name: str) -> Response:
        """Send the browser to the provider; with `again`, to prove who is logged in here."""
        again = bool(request.args.get("again")) and self._door.who is not None
        return self._go(name, AGAIN if again else LOGIN)

    def go_link(self, name: str) -> Response:
        """Send the browser to the provider, to connect the account there with one's own."""
        return self._go(name, LINK)

    def _go(self, name: str, mode: str) -> Response:
        door, provider = self._door, self._provider(name)
        if not door.is_at_home:
            # The provider sends the browser back to the public URL; the cookie must be there.
            here = f"{request.script_root}{request.full_path.rstrip('?')}"
            return door.send_to(f"{door.settings.public_url}{here}")
        wait_s = door.too_often("provider")
        if wait_s > 0:
            wait = waiting(door.say, wait_s)
            return door.message("refused.often", 429, onward=_login(), wait=wait)
        back = f"{door.settings.public_url}{url_for('accounts.provider_back', name=name)}"
        try:
            address, kept = door.openid.begin(provider, back, again=mode == AGAIN)
        except ProviderLost as lost:
            return self._failed(provider, lost)
        kept |= {"mode": mode, "next": request.args.get("next", "")}
        secret = door.service.attempts.begin(
            PURPOSE, door.caller, sub=door.who.person.sub if door.who else None, detail=kept
        )
        return attempt_cookie.write(door.send_to(address), attempt_cookie.PROVIDER, secret)

    def back(self, name: str) -> Response:
        """Take somebody in whom the provider vouches for."""
        door, provider = self._door, self._provider(name)
        secret = attempt_cookie.read(attempt_cookie.PROVIDER)
        begun = door.service.attempts.finish(secret, PURPOSE, door.caller) if secret else None
        try:
            begun = _own(begun, name)
            visitor = door.openid.finish(provider, begun.detail, request.args)
            response = self._welcome(provider, visitor, begun)
        except (ProviderLost, ProviderInvalid, ProviderRefused) as failure:
            response = self._failed(provider, failure)
        return attempt_cookie.clear(response, attempt_cookie.PROVIDER)

    def _welcome(self, provider: Provider, visitor: Visitor, begun: Attempt) -> Response:
        mode = begun.detail["mode"]
        if mode == LINK:
            return self._connect(provider, visitor, begun)
        after = own_path(begun.detail["next"], url_for("accounts.start"))
        if mode == AGAIN:
            return self._prove(provider, visitor, begun, after)
        return self._enter(provider, visitor, after)

    def _enter(self, provider: Provider, visitor: Visitor, after: str) -> Response:
        door = self._door
        try:
            person = arrive(door, provider, visitor)
        except Refused as refused:
            if refused.reason == "not_linked" and door.settings.passwords:
                return self._linking.begin(visitor, after)
            return door.message(
                "provider.stranger", 403, onward=_login(), provider=_title(provider)
            )
        step = door.service.logins.proven(person.sub, AMR, door.caller, door.browser)
        if step.status is not Status.IN:
            return door.message("provider.refused", 403, onward=_login(), provider=_title(provider))
        door.give_cookies(step.set_cookie)
        return door.send_to(after)

    def _connect(self, provider: Provider, visitor: Visitor, begun: Attempt) -> Response:
        """Connect the account there with the person who asked for it and is still here."""
        door, who = self._door, self._door.who
        if who is None or who.person.sub != begun.sub:
            raise ProviderInvalid("somebody else was logged in when this began")
        try:
            connect(door, who.person.sub, provider, visitor)
        except Refused:
            onward = url_for("accounts.security")
            return door.message("provider.taken", 409, onward=onward, provider=_title(provider))
        return door.send("accounts.security", "linked")

    def _prove(self, provider: Provider, visitor: Visitor, begun: Attempt, after: str) -> Response:
        door, who = self._door, self._door.who
        links = door.service.providers.of(who.person.sub) if who else []
        own = {(link.provider, link.subject) for link in links}
        same = who is not None and who.person.sub == begun.sub
        if not same or (provider.name, visitor.subject) not in own:
            raise ProviderInvalid("the provider logged somebody else in")
        door.renew(AMR)
        return door.send_to(after)

    def _failed(
        self, provider: Provider, failure: ProviderLost | ProviderInvalid | ProviderRefused
    ) -> Response:
        door = self._door
        door.log.warning("provider %s: %s", provider.name, failure.message)
        key, status = _FAILURES[type(failure)]
        response = door.message(key, status, onward=_login(), provider=_title(provider))
        if status == 503:
            response.headers["Retry-After"] = "30"
        return response

    def _provider(self, name: str) -> Provider:
        provider = self._door.settings.provider(name)
        if provider is None:
            raise unknown("provider")
        return provider


_FAILURES = {
    ProviderLost: ("provider.unreachable", 503),
    ProviderRefused: ("provider.refused", 403),
    ProviderInvalid: ("provider.invalid", 400),
}


def _own(begun: Attempt | None, name: str) -> Attempt:
    if begun is None or begun.detail.get("provider") != name:
        raise ProviderInvalid("nothing was begun in this browser, or too long ago")
    return begun


def _title(provider: Provider) -> str:
    return provider.title or provider.name


def _login() -> str:
    return url_for("accounts.login")
