"""The engine on XMPP keeps what every engine promises."""

from __future__ import annotations

import pytest
from mergepoint_testkit.bus import Promise, keep, promises
from mergepoint_testkit.prosody import ProsodyServer

from .source import XmppSource


@pytest.mark.parametrize("promise", promises(), ids=str)
def test_xmpp_keeps(promise: Promise, prosody: ProsodyServer) -> None:
    keep(promise, XmppSource(prosody))
