"""Identity as a whole: ways in, what it needs of the machine, and secrets that are none.

Place:  manifest.load -> [manifest.checks.identity]
Rule:   looks at files and the handed environment; a secret never reaches a message. What is missing
        here stops the accounts app alone: guarded paths then answer 503, open ones go on.
"""

from __future__ import annotations

import re
from pathlib import Path

from mergepoint.core.problems import Severity
from mergepoint.manifest.access import ACCOUNTS, Identity, Oidc, SecretText
from mergepoint.manifest.checks.kinds import ACCESS_KEYS
from mergepoint.manifest.machine import Machine
from mergepoint.manifest.resolve_identity import is_callable_form
from mergepoint.manifest.shown import KeyPath
from mergepoint.manifest.site import Mode, Site
from mergepoint.manifest.tables.identity import database_fault
from mergepoint.manifest.validate import Draft, Report

LOGIN_PACKAGES = (
    "alembic",
    "argon2-cffi",
    "authlib",
    "flask",
    "httpx2",
    "jinja2",
    "joserfc",
    "pyotp",
    "segno",
    "sqlalchemy",
    "webauthn",
    "zxcvbn",
)
"""What ``pip install 'mergepoint[login]'`` brings."""
POSTGRES_PACKAGE = "psycopg"

_PASSWORD = re.compile(r"://[^/@]*:[^@]+@|[?&]password=")
_CALLABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*\Z")


def check_identity(site: Site, draft: Draft, report: Report, machine: Machine) -> None:
    """Report what of identity cannot work, or is written where there is no identity."""
    if site.identity is None or draft.identity is None:
        _without(draft, report)
        return
    if ACCOUNTS in draft.apps:
        message = "is the name of Mergepoint's own app while there is [identity]"
        fix = "rename the app; `at` keeps its mount"
        report.add(("apps", ACCOUNTS), message, fix=fix)
    _entrances(site.identity, draft, report)
    _lives(site.identity, draft, report)
    if "public_url" not in draft.identity_broken:
        _public_url(site, site.identity, report)
    _packages(site.identity, report, machine)
    _database(site.identity, draft, report)
    _breached(site.identity, draft, report, machine)
    for provider in site.identity.oidc:
        _secret(provider, site.mode, report)


def _without(draft: Draft, report: Report) -> None:
    fix = "add [identity], which switches identity on, or remove this"
    for app in draft.apps.values():
        for key in sorted(app.written & ACCESS_KEYS):
            message = "has no effect: this site has no [identity]"
            report.add(("apps", app.name, key), message, fix=fix)
    for name in draft.roles:
        report.add(("roles", name), "has no effect: this site has no [identity]", fix=fix)


def _stops(report: Report, path: KeyPath, message: str, fix: str, value: object = None) -> None:
    report.add(path, message, fix=fix, value=value, severity=Severity.APP, app=ACCOUNTS)


def _entrances(identity: Identity, draft: Draft, report: Report) -> None:
    if draft.identity_broken & {"passwords", "passkeys", "oidc"}:
        return
    if not (identity.passwords or identity.passkeys or identity.oidc):
        fix = "leave out passwords = false or passkeys = false, or add [identity.oidc.NAME]"
        report.add(("identity", "passkeys"), "leaves nobody a way to log in", fix=fix)


def _lives(identity: Identity, draft: Draft, report: Report) -> None:
    if draft.identity_broken & {"session_days_max", "session_idle_days_max"}:
        return
    idle, longest = identity.session_idle_days_max, identity.session_days_max
    if idle > longest:
        written = "session_idle_days_max" in identity.origins
        key = "session_idle_days_max" if written else "session_days_max"
        message = f"session_idle_days_max {idle} is more than session_days_max {longest}"
        report.add(("identity", key), message, fix=f"write session_idle_days_max = {longest}")


def _public_url(site: Site, identity: Identity, report: Report) -> None:
    path: KeyPath = ("identity", "public_url")
    if not identity.public_url:
        message = "is needed: nothing says under which address people reach this site"
        report.add(path, message, fix='add public_url = "https://example.org" to [identity]')
    elif site.mode is Mode.PRODUCTION and identity.public_url.startswith("http://"):
        report.add(
            path,
            "lets everybody on the way read passwords and sessions",
            fix=f'write "https{identity.public_url[4:]}", and see docs/how-to/tls.md',
            value=identity.public_url,
            severity=Severity.WARNING,
        )


def _packages(identity: Identity, report: Report, machine: Machine) -> None:
    missing = [name for name in LOGIN_PACKAGES if not machine.has_package(name)]
    if missing:
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        message = f"needs packages that are not installed: {named}"
        _stops(report, ("identity",), message, "pip install 'mergepoint[login]'")
    wants_postgres = identity.database.value.startswith("postgresql")
    if wants_postgres and not machine.has_package(POSTGRES_PACKAGE):
        message = f"needs a package that is not installed: {POSTGRES_PACKAGE}"
        _stops(report, ("identity", "database"), message, "pip install 'mergepoint[postgres]'")


def _database(identity: Identity, draft: Draft, report: Report) -> None:
    database, path = identity.database, ("identity", "database")
    if "database" in draft.identity_broken:
        return
    if not database.variable:
        if _PASSWORD.search(database.value):
            message = "holds a password in a file that is copied and committed"
            fix = 'write "env:ACCOUNTS_DATABASE" and put the address into that variable'
            report.add(path, message, fix=fix, severity=Severity.WARNING)
        return
    if not database.value:
        _unset(database, path, report)
        return
    fault = database_fault(database.value)
    if fault:
        _stops(report, path, f"the variable {database.variable} {fault[0]}", fault[1])


def _unset(secret: SecretText, path: KeyPath, report: Report) -> None:
    fix = f"export {secret.variable}=..., or in development write it into .env"
    _stops(report, path, f"the variable {secret.variable} is not set", fix, secret.shown)


def _breached(identity: Identity, draft: Draft, report: Report, machine: Machine) -> None:
    written, path = identity.breached, ("identity", "breached")
    if not written or "breached" in draft.identity_broken:
        return
    if is_callable_form(written):
        if not _CALLABLE.match(written):
            fix = 'write "module:callable", or a file with a slash in its path'
            report.add(path, "is neither a file nor a Python target", fix=fix, value=written)
    elif not machine.is_file(Path(written)):
        _stops(report, path, f"there is no file {written}", "correct the path, or remove the key")


def _secret(provider: Oidc, mode: Mode, report: Report) -> None:
    secret = provider.client_secret
    path: KeyPath = ("identity", "oidc", provider.name, "client_secret")
    if secret.variable and not secret.value:
        _unset(secret, path, report)
    elif secret.value and not secret.variable:
        variable = f"{provider.name.upper().replace('-', '_')}_SECRET"
        production = mode is Mode.PRODUCTION
        report.add(
            path,
            "is a secret in a file that is copied and committed",
            fix=f'write "env:{variable}" and put the secret into that variable',
            severity=Severity.ERROR if production else Severity.WARNING,
        )
