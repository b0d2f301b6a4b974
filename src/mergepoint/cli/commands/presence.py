"""`mergepoint presence`: who is there.

Place:  cli.main -> [cli.commands.presence] -> cli.bus_reach
Rule:   a look, or a watch until Ctrl-C.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from mergepoint.cli.invocation import common_options, json_option

if TYPE_CHECKING:
    from mergepoint.assembly.reach import Reach
    from mergepoint.bus.contract import Member

QUIET_S = 0.3
"""After so long without one more, everybody who is there has been told."""


@click.command()
@click.argument("pattern", default="*")
@click.option("--follow", "-f", is_flag=True, help="Go on and print who comes and goes.")
@json_option
@common_options
def command(pattern: str, follow: bool) -> None:
    """List which addresses are there; PATTERN is an app, or one instance of it."""
    from mergepoint.cli.bus_reach import with_bus
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import info_text, time_text
    from mergepoint.cli.output import document, say, show_table

    async def work(reach: Reach) -> Any:
        if follow:
            await _follow(reach, pattern)
            return []
        return await reach.members(pattern, QUIET_S)

    members: list[Member] = with_bus(work)
    if follow:
        return
    if invocation().as_json:
        document({"members": [_member(member) for member in members]})
        return
    if not members:
        say("Nobody has joined. Apps do with site.bus.presence.join(...)")
        return
    show_table(
        ("ADDRESS", "SINCE", "SAYS"),
        ((m.address, time_text(m.since), info_text(m.info)) for m in members),
    )


async def _follow(reach: Reach, pattern: str) -> None:
    from mergepoint.cli.invocation import invocation
    from mergepoint.cli.message_view import info_text
    from mergepoint.cli.output import SCHEMA, data, say

    watch = await reach.engine.watch(pattern)
    say(f"watching {pattern}; Ctrl-C ends it")
    async for change in watch:
        told = {"change": str(change.change), "member": _member(change.member)}
        text = f"{change.change:<8} {change.member.address}  {info_text(change.member.info)}"
        data(json.dumps({"schema": SCHEMA, **told}) if invocation().as_json else text.rstrip())


def _member(member: Member) -> dict[str, Any]:
    return {"address": member.address, "since": member.since, "info": dict(member.info)}
