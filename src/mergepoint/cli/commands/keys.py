"""`mergepoint keys`: the key rings that sign sessions and what apps see.

Place:  cli.main -> [cli.commands.keys] -> identity.keys, identity.accounts.service.audit
Rule:   never prints a seed; rotating keeps what was signed before good until it ends by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.identity.keys import Key

RINGS = ("session", "edge", "accounts")
ROTATED = ("session", "edge")
HOUR_S = 3600.0


@click.group()
@common_options
def command() -> None:
    """List and rotate the keys of identity."""


@command.command()
@click.argument("rings", nargs=-1, type=click.Choice(RINGS), metavar="[session|edge|accounts]...")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(min=1, max=720),
    default=24.0,
    show_default=True,
    metavar="N",
    help="How long the replaced keys still verify.",
)
@common_options
def rotate(rings: tuple[str, ...], overlap_hours: float) -> None:
    """Put a new key in front of session and edge, or of the rings named.

    session signs sessions, edge what apps see, accounts device cookies and second factors. Second
    factors are sealed anew; a replaced key of accounts ends when the device cookies it signed have.
    """
    from mergepoint.cli.accounts import site_accounts
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import data, say
    from mergepoint.core.errors import MergepointError
    from mergepoint.identity.accounts.events import Event
    from mergepoint.identity.keys import ACCOUNTS, EDGE, rotate_ring

    wanted = tuple(dict.fromkeys(rings)) or ROTATED
    with site_accounts(invocation()) as (accounts, by):
        keys_dir, now_s = accounts.settings.keys_dir, accounts.clock.unix_s()
        for name in wanted:
            overlap_s = overlap_hours * HOUR_S
            if name == ACCOUNTS:
                # Before, too: rotating drops ended keys, and some may still be in use.
                accounts.factors.seal_anew(by)
                overlap_s = max(overlap_s, accounts.settings.device_life_s)
            ring = rotate_ring(keys_dir, name, now_s, overlap_s)
            data(f"{name}: {ring.keys[0].kid}")
            if name == ACCOUNTS:
                sealed = accounts.factors.seal_anew(by)
                say(f"{sealed.anew} second factors sealed anew")
                if sealed.lost:
                    say(f"{sealed.lost} second factors are sealed with a key that is gone")
            try:
                detail = {"ring": name, "kid": ring.keys[0].kid}
                accounts.audit.write(Event.KEYS_ROTATED, by, detail=detail)
            except MergepointError as error:
                say(f"not written to the audit log: {error.message}")
    if EDGE in wanted:
        say("the edge signs with its new key soon after: mergepoint reload")


@command.command("list")
@json_option
@common_options
def list_() -> None:
    """List the keys of every ring, the newest first."""
    from mergepoint.cli.accounts import site_accounts_settings
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.output import document, say, show_table
    from mergepoint.core.clock import SystemClock
    from mergepoint.identity.keys import read_ring, ring_path

    keys_dir = site_accounts_settings(invocation()).keys_dir
    now_s = SystemClock().unix_s()
    rows: list[tuple[str, Key, str]] = []
    for name in RINGS:
        path = ring_path(keys_dir, name)
        if path.exists():
            ring = read_ring(path)
            signing = ring.signing(now_s).kid
            rows += [(name, key, _use(key, signing, now_s)) for key in ring.keys]
    if invocation().as_json:
        document({"keys": [_row(name, key, use) for name, key, use in rows]})
        return
    if not rows:
        say("no keys yet: they are made when the site first starts, or by mergepoint keys rotate")
        return
    show_table(
        ("ring", "key", "made", "ends", "use"),
        ((name, key.kid, _day(key.created), _day(key.not_after), use) for name, key, use in rows),
    )


def _use(key: Key, signing: str, now_s: float) -> str:
    if key.kid == signing:
        return "signs"
    if key.not_after is not None and key.not_after <= now_s:
        return "ended"
    return "verifies"


def _row(name: str, key: Key, use: str) -> dict[str, Any]:
    return {
        "ring": name,
        "kid": key.kid,
        "created": key.created,
        "not_after": key.not_after,
        "use": use,
    }


def _day(at: float | None) -> str:
    from datetime import datetime

    return "-" if at is None else f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M}"
