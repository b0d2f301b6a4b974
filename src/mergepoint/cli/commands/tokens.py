"""`mergepoint tokens`: API tokens for git, scripts and services.

Place:  cli.main -> [cli.commands.tokens] -> identity.accounts.service
Rule:   the token goes to stdout, once, alone on its line; everything said about it to stderr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.identity.accounts.service.tokens import TokenInfo

DAY_S = 86400.0


@click.group()
@common_options
def command() -> None:
    """Make, list and revoke API tokens."""


@command.command()
@click.argument("user")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="SCOPE",
    help="role:NAME, group:NAME or a permission; again for more. Default: all USER may do.",
)
@click.option(
    "--days",
    type=click.FloatRange(min=0, max=400, min_open=True),
    metavar="N",
    help="Days until it ends. Default: none, until it is revoked.",
)
@common_options
def create(user: str, name: str, scopes: tuple[str, ...], days: float | None) -> None:
    """Make a token of USER, called NAME, and print it once.

    It is a Bearer credential, and the password of USER for git and other Basic clients.
    """
    from mergepoint.cli.accounts import person_named, site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, say

    with site_accounts(invocation()) as (accounts, by):
        owner = person_named(accounts, user)
        life_s = None if days is None else days * DAY_S
        made = accounts.tokens.create(owner.sub, name, by, scopes=scopes or None, life_s=life_s)
    data(made.text)
    say("keep it now: it is not shown again")
    say(f"to end it: mergepoint tokens revoke {made.info.id}")


@command.command("list")
@click.argument("user", required=False)
@json_option
@common_options
def list_(user: str | None) -> None:
    """List the tokens of USER, or of everybody."""
    from mergepoint.cli.accounts import person_named, site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table

    with site_accounts(invocation()) as (accounts, _by):
        owner = person_named(accounts, user) if user else None
        tokens = accounts.tokens.of(owner.sub if owner else None)
        names = {sub: accounts.people.get(sub) for sub in {t.sub for t in tokens}}
        now_s = accounts.clock.unix_s()
    users = {sub: person.user if person else "" for sub, person in names.items()}
    if invocation().as_json:
        document({"tokens": [_row(token, users[token.sub]) for token in tokens]})
        return
    if not tokens:
        say("no tokens; next: mergepoint tokens create USER NAME")
        return
    show_table(
        ("id", "user", "name", "scopes", "ends", "last used"),
        (
            (
                t.id,
                users[t.sub],
                t.name,
                "everything" if t.scopes is None else " ".join(t.scopes),
                _ends(t.expires_at, now_s),
                "never" if t.used_at is None else f"{_ago(now_s - t.used_at)} ago",
            )
            for t in tokens
        ),
    )


@command.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@common_options
def revoke(ids: tuple[str, ...]) -> None:
    """End tokens; they are refused from now on."""
    from mergepoint.cli.accounts import site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data

    with site_accounts(invocation()) as (accounts, by):
        for token_id in dict.fromkeys(ids):
            ended = accounts.tokens.revoke(token_id, by)
            data(f"{ended.id} {ended.name}: revoked")


def _row(token: TokenInfo, user: str) -> dict[str, Any]:
    return {
        "id": token.id,
        "user": user,
        "name": token.name,
        "scopes": None if token.scopes is None else list(token.scopes),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
        "used_address": token.used_address,
    }


def _ends(expires_at: float | None, now_s: float) -> str:
    if expires_at is None:
        return "never"
    return "ended" if expires_at <= now_s else f"in {_ago(expires_at - now_s)}"


def _ago(value_s: float) -> str:
    from mergepoint.cli.output import seconds

    return seconds(max(0.0, value_s))
