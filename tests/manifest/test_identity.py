"""What identity, roles and guards of a manifest mean once they are resolved.

Place:  make test
Rule:   through the public door; refusals have their golden messages in broken/.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mergepoint.core.errors import ManifestRefused
from mergepoint.identity.accounts.from_site import site_settings
from mergepoint.manifest.load import inspect
from mergepoint.manifest.resolve_identity import derived_url
from mergepoint.manifest.settings import list_settings
from mergepoint.manifest.site import App, Kind, Listener, Mode, Mount, Origin, Site

Load = Callable[..., Site]
APP = '[apps.wiki]\ncommand = "sh serve"\n'
GITLAB = """
[identity.oidc.gitlab]
issuer = "https://gitlab.example.org"
client_id = "acme"
client_secret = "env:GITLAB_SECRET"
roles = { maintainers = "admin" }
"""


def test_without_the_table_there_is_no_identity(load: Load) -> None:
    site = load(APP)

    assert (site.identity, site.roles, list(site.apps)) == (None, {}, ["wiki"])
    assert site.apps["wiki"].access is None


def test_an_empty_table_switches_it_on_with_its_defaults(load: Load, tmp_path: Path) -> None:
    site = load(f"[identity]\n{APP}")
    identity = site.identity

    assert identity is not None
    assert (identity.mount, identity.register.value, identity.require) == (
        "/-/accounts",
        "invite",
        ("public",),
    )
    assert identity.database.value == f"sqlite:///{tmp_path}/.mergepoint/accounts.db"
    assert (identity.session_days_max, identity.session_idle_days_max) == (30, 14)
    assert identity.public_url == "http://localhost:8000"
    assert site.roles["admin"].granted == ("*",)


def test_accounts_is_an_app_like_the_others_and_its_admin_pages_are_guarded(load: Load) -> None:
    accounts = load(f"[identity]\n{APP}").apps["accounts"]

    assert accounts.builtin
    assert (accounts.kind, accounts.target, accounts.factory, accounts.threads) == (
        Kind.WSGI,
        "mergepoint.identity.accounts.application:application",
        True,
        4,
    )
    assert accounts.mounts == (Mount("/-/accounts"),)
    assert accounts.access is not None
    assert accounts.access.require == ("public",)
    assert [(g.path, g.require) for g in accounts.access.guards] == [("/admin", ("role:admin",))]
    assert accounts.environment == {}, "what it is told is made when it is started"


def test_accounts_answers_on_every_host_that_serves_something(load: Load) -> None:
    site = load(
        f'[identity]\nat = "/login"\n{APP}at = ["/", "example.org/", "*.example.net/wiki"]\n'
        '[apps.old]\nredirect = "https://example.org/"\nhost = "old.example.org"\n'
    )

    assert site.apps["accounts"].mounts == (
        Mount("/login", "*"),
        Mount("/login", "*.example.net"),
        Mount("/login", "example.org"),
    )


def test_an_app_asks_what_it_says_else_what_identity_says(load: Load) -> None:
    site = load(
        '[identity]\nrequire = ["user", "service"]\n'
        f'{APP}[apps.shop]\ncommand = "sh"\nrequire = "public"\n[apps.console]\ncommand = "sh"\n'
        '[apps.files]\nstatic = "public"\nrequire = "person"\n'
    )
    asked = {name: app.access.require for name, app in site.apps.items() if app.access}

    assert asked == {
        "wiki": ("user", "service"),
        "shop": ("public",),
        "console": ("role:admin",),
        "files": ("person",),
        "accounts": ("public",),
    }
    assert site.apps["wiki"].access is not None
    assert site.apps["wiki"].access.origin == Origin("mergepoint.toml", 2)


def test_a_guard_knows_its_line_and_headers_lose_their_case(load: Load) -> None:
    access = (
        load(
            f"[identity]\n{APP}guards = [\n"
            '  { path = "/admin/", methods = "POST", require = "role:admin" },\n'
            '  { path = "/", require = ["user"] },\n]\n'
            'csrf_exempt = "/hooks"\nidentity_headers = { X-WebAuth-User = "user" }\n'
        )
        .apps["wiki"]
        .access
    )

    assert access is not None
    assert [(g.path, g.methods, g.require, str(g.origin)) for g in access.guards] == [
        ("/admin", ("POST",), ("role:admin",), "mergepoint.toml:5"),
        ("/", (), ("user",), "mergepoint.toml:6"),
    ]
    assert access.csrf_exempt == ("/hooks",)
    assert access.headers == {"x-webauth-user": "user"}


def test_a_role_grants_what_it_includes(load: Load) -> None:
    roles = load(
        f'[identity]\n{APP}[roles.reader]\npermissions = "tickets.read"\n'
        '[roles.editor]\nincludes = "reader"\npermissions = ["tickets.edit", "builds.*"]\n'
        '[roles.owner]\nincludes = ["editor", "admin"]\n'
    ).roles

    assert roles["editor"].granted == ("builds.*", "tickets.edit", "tickets.read")
    assert roles["owner"].granted == ("*",)
    assert roles["editor"].permissions == ("tickets.edit", "builds.*")


def test_a_secret_comes_from_its_variable_and_is_in_no_repr(load: Load) -> None:
    site = load(f"[identity]\n{APP}{GITLAB}", environ={"GITLAB_SECRET": "hunter2"})

    assert site.identity is not None
    secret = site.identity.oidc[0].client_secret
    assert (secret.value, secret.variable, secret.shown) == (
        "hunter2",
        "GITLAB_SECRET",
        "env:GITLAB_SECRET",
    )
    assert "hunter2" not in repr(site)
    assert site.failures == {}


def test_a_variable_that_is_not_set_stops_accounts_alone(load: Load) -> None:
    site = load(f"[identity]\n{APP}{GITLAB}")

    assert set(site.failures) == {"accounts"}
    failure = site.failures["accounts"]
    assert "the variable GITLAB_SECRET is not set" in failure.reason
    assert failure.where == "mergepoint.toml:8"


def test_in_development_a_variable_may_stand_in_the_env_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GITLAB_SECRET=hunter2\n")
    text = f'[identity]\npublic_url = "https://example.org"\n{APP}{GITLAB}'
    given = load(text).identity
    kept = load(text, profile="production").failures

    assert given is not None
    assert given.oidc[0].client_secret.value == "hunter2"
    assert set(kept) == {"accounts"}


def test_a_profile_changes_identity_and_roles(load: Load) -> None:
    text = (
        f'[identity]\n{APP}[roles.editor]\npermissions = "tickets.edit"\n'
        '[profiles.production.identity]\npublic_url = "https://example.org/"\nregister = "closed"\n'
        '[profiles.production.roles.editor]\npermissions = ["tickets.*"]\n'
    )
    own, other = load(text), load(text, profile="production")

    assert own.identity is not None
    assert other.identity is not None
    assert (own.identity.register.value, other.identity.register.value) == ("invite", "closed")
    assert other.identity.public_url == "https://example.org"
    assert (own.roles["editor"].granted, other.roles["editor"].granted) == (
        ("tickets.edit",),
        ("tickets.*",),
    )


def test_a_relative_database_and_list_lie_beside_the_manifest(load: Load, tmp_path: Path) -> None:
    (tmp_path / "breached.txt").write_text("")
    written = 'database = "sqlite:///data/../people.db"\nbreached = "breached.txt"\n'
    identity = load(f"[identity]\n{written}{APP}").identity

    assert identity is not None
    assert identity.database.value == f"sqlite:///{tmp_path}/people.db"
    assert identity.breached == f"{tmp_path}/breached.txt"


def app_on(host: str) -> App:
    return App("a", Kind.COMMAND, (Mount("/", host),), Origin("m", 1), Path("/"))


@pytest.mark.parametrize(
    ("address", "tls", "hosts", "mode", "url"),
    [
        ("127.0.0.1:8000", False, ["*"], Mode.DEVELOPMENT, "http://localhost:8000"),
        ("0.0.0.0:80", False, ["*"], Mode.DEVELOPMENT, "http://localhost"),
        ("[::1]:8443", True, ["*"], Mode.DEVELOPMENT, "https://localhost:8443"),
        ("10.0.0.5:8000", False, ["*"], Mode.DEVELOPMENT, "http://10.0.0.5:8000"),
        ("unix:/run/a.sock", False, ["*"], Mode.DEVELOPMENT, ""),
        ("0.0.0.0:443", True, ["example.org"], Mode.PRODUCTION, "https://example.org"),
        ("0.0.0.0:8443", True, ["example.org", "*"], Mode.PRODUCTION, "https://example.org:8443"),
        ("0.0.0.0:443", True, ["example.org", "a.example.org"], Mode.PRODUCTION, ""),
        ("0.0.0.0:443", True, ["*.example.org"], Mode.PRODUCTION, ""),
        ("127.0.0.1:8000", False, ["example.org"], Mode.PRODUCTION, ""),
    ],
)
def test_where_people_reach_the_site_is_said_only_when_it_is_sure(
    address: str, tls: bool, hosts: list[str], mode: Mode, url: str
) -> None:
    assert derived_url([Listener("a", address, tls)], map(app_on, hosts), mode) == url


def shown(path: Path, text: str, environ: dict[str, str], profile: str = "development") -> Any:
    path.write_text(text)
    rows = list_settings(inspect(path, profile=profile, environ=environ))
    return {row.path: row for row in rows}


def test_the_settings_show_everything_but_secrets(tmp_path: Path) -> None:
    text = (
        '[identity]\ndatabase = "postgresql://acme:hunter2@db/accounts"\n'
        f'{APP}{GITLAB}[identity.oidc.other]\nissuer = "https://o.example.org"\n'
        'client_id = "a"\nclient_secret = "hunter2"\n'
    )
    rows = shown(tmp_path / "mergepoint.toml", text, {"GITLAB_SECRET": "hunter2"})

    assert rows["identity.database"].value == '"postgresql://***"'
    assert rows["identity.oidc.gitlab.client_secret"].value == '"env:GITLAB_SECRET"'
    assert rows["identity.oidc.other.client_secret"].value == '"***"'
    assert [path for path, row in rows.items() if row.secret] == [
        "identity.database",
        "identity.oidc.other.client_secret",
    ]
    assert rows["identity.oidc.gitlab.issuer"].origin == "mergepoint.toml:7"
    assert rows["identity.oidc.gitlab.scopes"].layer == "default"
    assert rows["apps.accounts.at"].value == '["/-/accounts"]'
    assert rows["apps.accounts.at"].layer == "built-in"
    assert "hunter2" not in repr(rows)


def test_a_database_of_a_variable_shows_its_name_alone(tmp_path: Path) -> None:
    environ = {"ACCOUNTS": "postgresql://acme:hunter2@db/accounts"}
    text = f'[identity]\ndatabase = "env:ACCOUNTS"\n{APP}'
    rows = shown(tmp_path / "mergepoint.toml", text, environ)

    assert rows["identity.database"].value == '"env:ACCOUNTS"'
    assert "hunter2" not in repr(rows)


def test_a_bad_database_in_a_variable_is_told_without_its_value(load: Load) -> None:
    environ = {"ACCOUNTS": "mysql://root:hunter2@db"}
    site = load(f'[identity]\ndatabase = "env:ACCOUNTS"\n{APP}', environ=environ)

    assert "the variable ACCOUNTS is not the address of a database" in str(site.failures)
    assert "hunter2" not in str(site.problems)


def test_without_identity_its_keys_are_not_among_the_settings(tmp_path: Path) -> None:
    rows = shown(tmp_path / "mergepoint.toml", APP, {})

    assert not {"apps.wiki.require", "apps.wiki.cookies"} & set(rows)
    assert not any(path.startswith(("identity", "roles")) for path in rows)


def test_every_error_of_identity_is_told_at_once(load: Load) -> None:
    with pytest.raises(ManifestRefused) as refused:
        load(f'[identity]\nregister = "x"\nat = "/"\n{APP}require = "role:x"\ncookies = "no"\n')

    assert [problem.line for problem in refused.value.problems] == [2, 3, 6, 7]


MAIL = """
[identity.mail]
smtp = "smtp://acme%40site@mail.example.org"
sender = "Acme <accounts@example.org>"
password = "env:SMTP_PASSWORD"
ca = "ca.pem"
timeout_s = "20s"
"""


def test_mail_reaches_accounts_as_it_was_written(load: Load, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    site = load(f"[identity]\n{MAIL}{APP}", environ={"SMTP_PASSWORD": "hunter2"})
    assert site.identity is not None and site.identity.mail is not None
    mail = site_settings(site).mail

    assert mail is not None
    assert (mail.host, mail.port, mail.security.value) == ("mail.example.org", 587, "starttls")
    assert (mail.user, mail.password, mail.ca) == ("acme@site", "hunter2", f"{tmp_path}/ca.pem")
    assert (mail.timeout_s, mail.queue_max, mail.attempts_max) == (20.0, 100, 5)
    assert "hunter2" not in repr(site) + repr(mail)


def test_a_site_that_says_nothing_of_mail_sends_none(load: Load) -> None:
    site = load(f"[identity]\n{APP}")

    assert site.identity is not None and site.identity.mail is None
    assert site_settings(site).mail is None


def test_the_password_at_the_mail_server_is_shown_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "mergepoint.toml").write_text(f"[identity]\n{MAIL}{APP}")
    environ = {"PATH": "/usr/bin:/bin", "SMTP_PASSWORD": "hunter2"}
    loaded = inspect(tmp_path / "mergepoint.toml", profile="development", environ=environ)
    rows = {row.path: row.value for row in list_settings(loaded)}

    assert rows["identity.mail.password"] == '"env:SMTP_PASSWORD"'
    assert rows["identity.mail.queue_max"] == "100"
    assert "hunter2" not in str(rows)
