"""What the accounts app is told, from the site it belongs to.

Place:  manifest.site -> [identity.accounts.from_site] -> assembly, cli
Rule:   pure; says what the manifest says, and takes every other default from `config`.
"""

from __future__ import annotations

from pathlib import Path

from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.config import (
    AccountsSettings,
    Mail,
    MailSecurity,
    Provider,
    Register,
    SecondFactor,
)
from mergepoint.manifest import access
from mergepoint.manifest.access import Oidc
from mergepoint.manifest.site import Site

KEYS = "keys"
DAY_S = 86400.0
SETTINGS_BYTES_MAX = 120_000
"""One variable of a process holds 128 KiB on Linux."""


class NoIdentity(MergepointError):
    """The site has no [identity], so there is no accounts app."""

    code = "accounts.off"


class SettingsTooLong(MergepointError):
    """What accounts would be told is more than a variable holds."""

    code = "accounts.settings_long"


def keys_dir(site: Site) -> Path:
    """Return where the site's key rings lie."""
    return site.state_dir / KEYS


def site_settings(site: Site) -> AccountsSettings:
    """Return the settings of the site's accounts app; raise `NoIdentity` when it has none."""
    identity = site.identity
    if identity is None:
        raise NoIdentity(
            f"{site.name} has no identity: nobody can log in",
            next=f"add [identity] to {site.file.name}; docs/how-to/identity.md",
        )
    return AccountsSettings(
        site=site.name,
        issuer=f"mergepoint:{site.name}",
        database=identity.database.value,
        keys_dir=keys_dir(site),
        state_dir=site.state_dir,
        public_url=identity.public_url,
        mount=identity.mount,
        register=Register(identity.register.value),
        token_life_s=identity.token_life_s,
        session_idle_s=identity.session_idle_days_max * DAY_S,
        session_life_s=identity.session_days_max * DAY_S,
        second_factor=SecondFactor(identity.second_factor.value),
        passwords=identity.passwords,
        passkeys=identity.passkeys,
        password_length_min=identity.password_length_min,
        breached=identity.breached,
        providers=tuple(map(_provider, identity.oidc)),
        mail=_mail(identity.mail) if identity.mail else None,
        roles={name: role.granted for name, role in sorted(site.roles.items())},
    )


def settings_json(site: Site) -> str:
    """Return the document for `MERGEPOINT_ACCOUNTS`; it holds secrets.

    Raise `SettingsTooLong` when no variable can hold it, and `NoIdentity` as `site_settings` does.
    """
    text = site_settings(site).to_json()
    size = len(text.encode())
    if size > SETTINGS_BYTES_MAX:
        raise SettingsTooLong(
            f"identity and roles come to {size} bytes; accounts can be told {SETTINGS_BYTES_MAX}",
            next='grant families such as "tickets.*" instead of single permissions',
        )
    return text


def _mail(mail: access.Mail) -> Mail:
    return Mail(
        host=mail.host,
        port=mail.port,
        sender=mail.sender,
        security=MailSecurity(mail.security.value),
        user=mail.user,
        password=mail.password.value,
        password_file=mail.password_file,
        ca=mail.ca,
        timeout_s=mail.timeout_s,
        queue_max=mail.queue_max,
        attempts_max=mail.attempts_max,
        retry_s=mail.retry_s,
    )


def _provider(oidc: Oidc) -> Provider:
    return Provider(
        name=oidc.name,
        issuer=oidc.issuer,
        client_id=oidc.client_id,
        client_secret=oidc.client_secret.value,
        scopes=oidc.scopes,
        groups_claim=oidc.groups_claim,
        role_map={group: (role,) for group, role in oidc.roles.items()},
        allow_signup=oidc.allow_signup,
    )
