"""Requests over XMPP: an IQ to one process that serves the address; one result or one error.

Place:  bus.adapters.xmpp -> [xmpp_requests] -> xmpp_link, xmpp_presence
Rule:   who serves what is told with presence; a process that has enough in hand says so.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from slixmpp.exceptions import IqError

from mergepoint.bus.adapters import xmpp_stanza as stanza
from mergepoint.bus.adapters.answers import check_answer, failure
from mergepoint.bus.adapters.xmpp_link import Link
from mergepoint.bus.adapters.xmpp_presence import Presence
from mergepoint.bus.contract import Handler
from mergepoint.bus.errors import (
    BusLost,
    NoSuchAddress,
    RemoteError,
    RequestTimeout,
    Unavailable,
)
from mergepoint.wire.envelope import Message

ASK, FAILED = f"{{{stanza.OWN}}}ask", f"{{{stanza.OWN}}}failed"
ADDRESS = "address"
BUSY, NOT_SERVED = "resource-constraint", "item-not-found"


class Serving:
    """One address that is served."""

    def __init__(self, requests: Requests, address: str, handler: Handler) -> None:
        self.address = address
        self.handler = handler
        self.tasks: set[asyncio.Task[None]] = set()
        self._requests = requests

    async def close(self) -> None:
        """Take no more; return when what is in hand is answered."""
        await self._requests.end(self)
        while self.tasks:
            await asyncio.wait(self.tasks)


class Requests:
    """What this process asks and serves."""

    def __init__(self, link: Link, presence: Presence) -> None:
        self._link = link
        self._presence = presence
        self._servings: list[Serving] = []
        self._turn = 0

    def stop(self) -> None:
        """Give up what is in hand."""
        for serving in self._servings:
            for task in serving.tasks:
                task.cancel()

    async def serve(self, address: str, handler: Handler) -> Serving:
        """Answer from now on."""
        serving = Serving(self, address, handler)
        self._servings.append(serving)
        self._presence.serves.append(address)
        await self._presence.show()
        return serving

    async def end(self, serving: Serving) -> None:
        """Tell everybody first, then take no more."""
        if serving not in self._servings:
            return
        self._presence.serves.remove(serving.address)
        if self._link.connected:
            await self._presence.show()
        if serving in self._servings:
            self._servings.remove(serving)

    async def request(self, address: str, message: Message, timeout_s: float) -> Message:
        """Return the one answer, or one error; ask another process only if one did not take it."""
        asked = Element(ASK, {ADDRESS: address})
        asked.append(stanza.packed(message))
        timed_out = RequestTimeout(f"no answer from {address} in {timeout_s:g} s; it may have run")
        refused = 0
        try:
            async with asyncio.timeout(timeout_s):
                for jid in self._rotated(await self._presence.serving(address)):
                    try:
                        return _answer(await self._link.ask(jid, "set", asked, timeout_s))
                    except IqError as error:
                        refused += error.condition == BUSY
        except (TimeoutError, BusLost):
            raise timed_out from None
        if refused:
            raise Unavailable(f"{address} has as many requests in hand as it takes")
        raise NoSuchAddress(f"nobody serves {address}", next="mergepoint presence")

    def take(self, iq: Any) -> None:
        """Begin to answer an IQ."""
        element = iq.xml.find(ASK)
        address = element.get(ADDRESS, "")
        message = stanza.unpacked(element.find(f"{{{stanza.OWN}}}m"))
        serving = next((one for one in self._servings if _is_for(one.address, address)), None)
        if iq["from"].bare != self._link.settings.account or message is None or serving is None:
            _refuse(iq, NOT_SERVED)
        elif len(serving.tasks) >= self._link.limits.requests_max:
            _refuse(iq, BUSY)
        else:
            task = asyncio.create_task(self._answer(serving, iq, message))
            serving.tasks.add(task)
            task.add_done_callback(serving.tasks.discard)

    async def _answer(self, serving: Serving, iq: Any, asked: Message) -> None:
        result = Element(ASK)
        try:
            answer = await serving.handler(asked)
            check_answer(answer, stanza.MESSAGE_BYTES_MAX)
            result.append(stanza.packed(answer))
        except Exception as error:  # a handler's failure belongs to whoever asked
            SubElement(result, FAILED).text = json.dumps(failure(error))
        reply = iq.reply()
        reply.append(result)
        reply.send()

    def _rotated(self, jids: list[str]) -> list[str]:
        self._turn += 1
        start = self._turn % len(jids) if jids else 0
        return jids[start:] + jids[:start]


def _is_for(served: str, asked: str) -> bool:
    return served == asked or ("/" not in asked and served.startswith(asked + "/"))


def _refuse(iq: Any, condition: str) -> None:
    reply = iq.reply()
    reply["type"] = "error"
    reply["error"]["type"] = "wait" if condition == BUSY else "cancel"
    reply["error"]["condition"] = condition
    reply.send()


def _answer(iq: Any) -> Message:
    failed = iq.xml.find(f"{ASK}/{FAILED}")
    if failed is not None:
        code, words = json.loads(failed.text or "[]")
        raise RemoteError(words, remote_code=code)
    message = stanza.unpacked(iq.xml.find(f"{ASK}/{{{stanza.OWN}}}m"))
    if message is None:
        raise RemoteError("an answer that is no message", remote_code="bus.undecodable")
    return message
