"""The engine on XMPP keeps what every engine promises.

One after the other: reading XML computes more than it waits, so nothing is won side by side.
"""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises
from mergepoint_testkit.bus.outages import brief_outages
from mergepoint_testkit.prosody import ProsodyServer

from .source import XmppSource


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_xmpp_keeps(promise: Promise, prosody: ProsodyServer) -> None:
    keep(promise, XmppSource(prosody))


@pytest.mark.parametrize("promise", brief_outages(), ids=str)
def test_xmpp_survives(promise: Promise, prosody: ProsodyServer) -> None:
    keep(promise, XmppSource(prosody))


@pytest.mark.soak
@pytest.mark.parametrize("promise", promises("outages"), ids=str)
def test_xmpp_survives_everything(promise: Promise, prosody: ProsodyServer) -> None:
    keep(promise, XmppSource(prosody))
