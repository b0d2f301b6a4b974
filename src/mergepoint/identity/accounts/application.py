"""The accounts app: what a worker imports, and what makes the first administrator.

Place:  host (`mergepoint.identity.accounts.application:application`, factory) -> [application]
Rule:   the only reader of the environment here; starts while its database is away, answers 503.
"""

from __future__ import annotations

import atexit
import getpass
import os
from collections.abc import Mapping
from contextlib import suppress

from flask import Flask

from mergepoint.core.clock import Clock, SystemClock
from mergepoint.identity.accounts import edge_calls, pages
from mergepoint.identity.accounts.caller import console
from mergepoint.identity.accounts.config import AccountsSettings, read
from mergepoint.identity.accounts.pages.letters import Deliver, by_mail, tell_operator
from mergepoint.identity.accounts.service.accounts import Accounts, open_accounts
from mergepoint.identity.accounts.store.errors import StoreLost

BODY_BYTES_MAX = 1 << 20


def application(environ: Mapping[str, str] | None = None, clock: Clock | None = None) -> Flask:
    """Return the accounts app of the site `MERGEPOINT_ACCOUNTS` describes.

    Raises `SettingsRefused` or `StoreRefused` for what an operator has to mend; a database that is
    only away is asked again at every request.
    """
    settings = read(os.environ if environ is None else environ)
    accounts = open_accounts(settings, clock or SystemClock())
    accounts.passwords.warm()
    with suppress(StoreLost):
        accounts.store.prepare()
    if accounts.mailer is not None:
        atexit.register(accounts.mailer.stop)
    return assembled(accounts)


def assembled(accounts: Accounts, deliver: Deliver | None = None) -> Flask:
    """Return the app over accounts that are open already.

    `deliver` takes links to people; None: by mail where the site sends any, else by the operator.
    """
    if deliver is None:
        mailer, settings = accounts.mailer, accounts.settings
        deliver = by_mail(mailer, settings, accounts.clock) if mailer else tell_operator
    app = Flask("mergepoint.identity.accounts", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.extensions["mergepoint.accounts"] = accounts
    app.register_blueprint(edge_calls.blueprint(accounts))
    app.register_blueprint(pages.blueprint(accounts, accounts.settings, deliver))
    return app


def first_administrator_link(settings: AccountsSettings, clock: Clock | None = None) -> str | None:
    """Return a link that makes the first administrator, None when there is one.

    Good for one day and one use; a new one makes the last worthless. Raises `StoreLost` or
    `StoreRefused`.
    """
    accounts = open_accounts(settings, clock or SystemClock())
    try:
        issued = accounts.joining.first_administrator(console(getpass.getuser()))
    finally:
        accounts.store.close()
    return issued.url if issued else None
