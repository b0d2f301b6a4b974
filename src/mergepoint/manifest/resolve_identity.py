"""From the tables of identity, roles and guards to what is in force.

Place:  manifest.validate -> [manifest.resolve_identity] -> manifest.resolve
Rule:   fills in defaults, flattens roles, looks variables up in what it is handed; judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mergepoint.manifest.access import (
    ACCOUNTS,
    ADMIN,
    Access,
    Authorization,
    Cookies,
    Guard,
    Identity,
    Mail,
    Oidc,
    Register,
    Role,
    SecondFactor,
    SecretText,
)
from mergepoint.manifest.origin import Origin
from mergepoint.manifest.resolve_app import placed
from mergepoint.manifest.site import App, Kind, Listener, Mode, Mount, Processes
from mergepoint.manifest.tables.app import AppTable
from mergepoint.manifest.tables.forms import ENV, is_reference, parse_target
from mergepoint.manifest.tables.identity import IdentityTable, OidcTable, RoleTable
from mergepoint.manifest.tables.mail import MailTable, parse_smtp

ACCOUNTS_TARGET = "mergepoint.identity.accounts.application:application"
ACCOUNTS_THREADS = 4
"""Two may be hashing passwords at once, which leaves two for every other page."""
ACCOUNTS_FILE = "accounts.db"
ADMIN_PATH = "/admin"
THIS_MACHINE = {"", "0.0.0.0", "[::]", "[::1]", "localhost"}  # noqa: S104 - compared, not bound
CONSOLE = "console"
EVERYTHING = "*"

Origins = Mapping[str, Origin]


def resolve_identity(
    table: IdentityTable,
    directory: Path,
    state_dir: Path,
    variables: Mapping[str, str],
    origins: Origins,
    origin: Origin,
) -> Identity:
    """Return identity as it will be; a variable that is not there gives an empty secret.

    `origins` are those below [identity]; `variables` is the environment secrets are taken from.
    `public_url` is as written: `derived_url` knows what stands for it.
    """
    own = f"sqlite:///{state_dir / ACCOUNTS_FILE}"
    database = secret_text(table.database or own, variables)
    return Identity(
        mount=table.at,
        public_url=table.public_url or "",
        database=SecretText(placed_database(database.value, directory), database.variable),
        register=Register(table.register),
        session_days_max=table.session_days_max,
        session_idle_days_max=table.session_idle_days_max,
        token_life_s=table.token_life_s,
        second_factor=SecondFactor(table.second_factor),
        passwords=table.passwords,
        passkeys=table.passkeys,
        password_length_min=table.password_length_min,
        breached=_breached(table.breached or "", directory),
        require=tuple(table.require),
        oidc=tuple(
            _oidc(name, entry, variables, origins.get(f"oidc.{name}", origin))
            for name, entry in table.oidc.items()
        ),
        mail=_mail(table.mail, directory, variables, origins.get("mail", origin)),
        origin=origin,
        origins=origins,
    )


def secret_text(written: str, variables: Mapping[str, str]) -> SecretText:
    """Return the secret itself; one written as ``env:NAME`` is taken from `variables`."""
    if not is_reference(written):
        return SecretText(written)
    name = written.removeprefix(ENV)
    return SecretText(variables.get(name, ""), name)


def placed_database(url: str, directory: Path) -> str:
    """Return the URL with a relative SQLite file placed below the manifest's directory."""
    start = "sqlite:///"
    if not url.startswith(start):
        return url
    file, mark, query = url.removeprefix(start).partition("?")
    return f"{start}{placed(directory, file)}{mark}{query}"


def is_callable_form(breached: str) -> bool:
    """Tell whether `breached` is written ``module:callable`` and not as a file."""
    return ":" in breached and "/" not in breached


def _breached(written: str, directory: Path) -> str:
    if not written or is_callable_form(written):
        return written
    return str(placed(directory, written))


def _mail(
    table: MailTable | None, directory: Path, variables: Mapping[str, str], origin: Origin
) -> Mail | None:
    if table is None:
        return None
    server = parse_smtp(table.smtp)
    password_file, ca = (
        str(placed(directory, written)) if written else ""
        for written in (table.password_file, table.ca)
    )
    return Mail(
        host=server.host,
        port=server.port,
        security=server.security,
        user=server.user,
        password=secret_text(table.password or "", variables),
        password_file=password_file,
        sender=table.sender,
        ca=ca,
        timeout_s=table.timeout_s,
        queue_max=table.queue_max,
        attempts_max=table.attempts_max,
        retry_s=table.retry_s,
        origin=origin,
    )


def _oidc(name: str, table: OidcTable, variables: Mapping[str, str], origin: Origin) -> Oidc:
    return Oidc(
        name=name,
        issuer=table.issuer,
        client_id=table.client_id,
        client_secret=secret_text(table.client_secret or "", variables),
        scopes=tuple(table.scopes),
        groups_claim=table.groups_claim,
        roles=dict(table.roles),
        allow_signup=table.allow_signup,
        origin=origin,
    )


def derived_url(listeners: Iterable[Listener], apps: Iterable[App], mode: Mode) -> str:
    """Return where people reach a site that does not say it; empty when it cannot be known.

    In development that is this machine, by the name that browsers allow passkeys for. In production
    it is the one host that the apps name, when the site speaks TLS itself.
    """
    doors = [door for door in listeners if not door.admin and not door.address.startswith("unix:")]
    door = min(doors, key=lambda one: not one.tls, default=None)
    if door is None:
        return ""
    name, _, port = door.address.rpartition(":")
    scheme, usual = ("https", "443") if door.tls else ("http", "80")
    if mode is Mode.DEVELOPMENT:
        host = "localhost" if name in THIS_MACHINE or name.startswith("127.") else name
    else:
        hosts = {mount.host for app in apps for mount in app.mounts} - {"*"}
        named = [one for one in hosts if not one.startswith("*.")]
        host = named[0] if door.tls and len(named) == 1 else ""
    return f"{scheme}://{host}" + ("" if port == usual else f":{port}") if host else ""


def resolve_roles(
    tables: Mapping[str, RoleTable], origins: Mapping[str, Origin], fallback: Origin
) -> dict[str, Role]:
    """Return every role with what it grants in the end; `admin` is added where nobody wrote it."""
    known = {ADMIN: RoleTable(permissions=[EVERYTHING]), **tables}
    return {
        name: Role(
            name=name,
            permissions=tuple(table.permissions),
            includes=tuple(table.includes),
            granted=_granted(name, known),
            origin=origins.get(name, fallback),
        )
        for name, table in known.items()
    }


def _granted(name: str, tables: Mapping[str, RoleTable]) -> tuple[str, ...]:
    """Return what a role and all it includes grant; circles are walked once."""
    seen: set[str] = set()
    waiting, grants = [name], set[str]()
    while waiting:
        table = tables.get(current := waiting.pop())
        if table is None or current in seen:
            continue
        seen.add(current)
        grants.update(table.permissions)
        waiting += table.includes
    return (EVERYTHING,) if EVERYTHING in grants else tuple(sorted(grants))


def resolve_access(name: str, table: AppTable, identity: Identity, origins: Origins) -> Access:
    """Return who may use an app; `origins` are those below its table."""
    if table.require is not None:
        require, origin = tuple(table.require), origins.get("require", identity.origin)
    elif name == CONSOLE:
        require, origin = (f"role:{ADMIN}",), identity.origin
    else:
        require = identity.require
        origin = identity.origins.get("require", identity.origin)
    return Access(
        require=require,
        origin=origin,
        guards=tuple(
            Guard(
                path=guard.path,
                methods=tuple(guard.methods),
                require=tuple(guard.require),
                origin=origins.get(f"guards[{position}]", origin),
            )
            for position, guard in enumerate(table.guards)
        ),
        csrf_exempt=tuple(table.csrf_exempt),
        cookies=Cookies(table.cookies),
        headers={header.lower(): value for header, value in table.identity_headers.items()},
        authorization=Authorization(table.authorization),
    )


def accounts_app(
    identity: Identity, apps: Iterable[App], state_dir: Path, python: Path, mode: Mode
) -> App:
    """Return the built-in app that knows people, mounted on every host that serves something."""
    hosts = {mount.host for app in apps if app.kind is not Kind.REDIRECT for mount in app.mounts}
    target = parse_target(f"{ACCOUNTS_TARGET}()")
    count = 2 if mode is Mode.PRODUCTION else 1
    return App(
        name=ACCOUNTS,
        kind=Kind.WSGI,
        mounts=tuple(Mount(identity.mount, host) for host in sorted(hosts or {"*"})),
        origin=identity.origin,
        directory=state_dir,
        target=target.text,
        factory=target.factory,
        python=python,
        processes=Processes(count, count, count),
        threads=ACCOUNTS_THREADS,
        concurrency=ACCOUNTS_THREADS,
        origins={key: value for key, value in identity.origins.items() if key == "at"},
        access=Access(
            require=("public",),
            origin=identity.origin,
            guards=(Guard(ADMIN_PATH, (), (f"role:{ADMIN}",), identity.origin),),
            # Its own cookies are for the whole host: that is what logging in once means.
            cookies=Cookies.SHARE,
        ),
        builtin=True,
    )
