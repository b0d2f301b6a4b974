"""Everything the accounts app can do, put together once.

Place:  application, cli -> [service.accounts] -> the classes of this package
Rule:   the one place that knows how they fit; decides nothing, opens no connection by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from mergepoint.core.clock import Clock
from mergepoint.identity.accounts.config import AccountsSettings
from mergepoint.identity.accounts.service.attempts import Attempts
from mergepoint.identity.accounts.service.audit import Audit
from mergepoint.identity.accounts.service.breach import breach_check
from mergepoint.identity.accounts.service.devices import Devices
from mergepoint.identity.accounts.service.factors import Factors
from mergepoint.identity.accounts.service.feed import Feed
from mergepoint.identity.accounts.service.hashing import Hasher
from mergepoint.identity.accounts.service.joining import Joining
from mergepoint.identity.accounts.service.links import Links
from mergepoint.identity.accounts.service.logins import Logins
from mergepoint.identity.accounts.service.mailer import Mailer
from mergepoint.identity.accounts.service.passkeys import Passkeys
from mergepoint.identity.accounts.service.passwords import Passwords
from mergepoint.identity.accounts.service.people import People
from mergepoint.identity.accounts.service.providers import Providers
from mergepoint.identity.accounts.service.rings import Rings
from mergepoint.identity.accounts.service.sessions import Sessions
from mergepoint.identity.accounts.service.throttle import Throttle
from mergepoint.identity.accounts.service.tokens import Tokens
from mergepoint.identity.accounts.store.unit import Store


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of one site; safe to use from many threads.

    Everything that writes takes a `Caller`, and raises `Refused` for what is not allowed,
    `StoreLost` while the database is away, `Busy` when too many passwords are being checked.
    """

    settings: AccountsSettings
    clock: Clock
    store: Store
    rings: Rings
    people: People
    passwords: Passwords
    logins: Logins
    """From a proof to a session: what pages call to log somebody in."""
    joining: Joining
    """Registration, invites, resets, the first administrator."""
    sessions: Sessions
    tokens: Tokens
    factors: Factors
    passkeys: Passkeys
    providers: Providers
    attempts: Attempts
    """What a browser has begun: challenges of passkeys, states of provider logins."""
    links: Links
    devices: Devices
    throttle: Throttle
    feed: Feed
    audit: Audit
    mailer: Mailer | None
    """None where the site sends no mail."""


def open_accounts(settings: AccountsSettings, clock: Clock) -> Accounts:
    """Put the accounts of a site together; the database is opened at the first use.

    Raises `SettingsRefused` for a breach hook that cannot be imported, `StoreRefused` for a
    database no driver is here for.
    """
    store = Store(settings.database, clock)
    rings = Rings(settings.keys_dir, clock)
    hasher = Hasher(settings.argon2, settings.hashes_at_once_max)
    people = People(store, settings)
    passwords = Passwords(store, settings, hasher, breach_check(settings.breached))
    factors = Factors(store, rings, settings)
    throttle = Throttle(store)
    devices = Devices(rings, settings, clock)
    attempts = Attempts(store, clock)
    sessions = Sessions(store, rings, settings, clock)
    links = Links(store, settings, clock)
    audit = Audit(store)
    return Accounts(
        settings=settings,
        clock=clock,
        store=store,
        rings=rings,
        people=people,
        passwords=passwords,
        logins=Logins(store, settings, passwords, factors, throttle, devices, attempts, sessions),
        joining=Joining(store, settings, links, people, passwords),
        sessions=sessions,
        tokens=Tokens(store, settings, clock),
        factors=factors,
        passkeys=Passkeys(store),
        providers=Providers(store, settings, people),
        attempts=attempts,
        links=links,
        devices=devices,
        throttle=throttle,
        feed=Feed(store, rings, clock),
        audit=audit,
        mailer=Mailer(settings.mail, audit, clock) if settings.mail else None,
    )
