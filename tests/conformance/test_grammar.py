"""Requests from a grammar with faults put in: whatever is sent, an app sees whole requests only.

Place:  Hypothesis -> edge -> recorder
Rule:   the invariant is the recorder's: no malformed byte, never more requests than were sent.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.raw import exchange
from mergepoint_testkit.recorder import Recorder

EXAMPLES = int(os.environ.get("MERGEPOINT_FUZZ_EXAMPLES", "1500"))
MARK = b"/within-a-body"


def mostly(good: list[bytes], odd: list[bytes]) -> st.SearchStrategy[bytes]:
    """Draw a good value nine times in ten, so that faults come one at a time."""
    return st.integers(0, 9).flatmap(lambda n: st.sampled_from(good if n else odd))


line_end = mostly([b"\r\n"], [b"\n", b"\r", b"\r\r\n", b"\x0b\r\n", b" \r\n"])
space = mostly([b" "], [b"  ", b"\t", b"", b"\x0c"])
method = mostly([b"GET", b"POST", b"PUT", b"HEAD"], [b"OPTIONS", b"get", b"G ET", b"P\x00T"])
target = mostly(
    [b"/", b"/a?b=c", b"/%41", b"//x/y", b"/;p=1//", b"http://site.example/x"],
    [b"/a/../b", b"/%2e%2e/", b"*", b"/\x7f", b"/a b", b"/%", b"?x", b"/a#b", b"a:80", b"/\xc3"],
)
version = mostly([b"HTTP/1.1"], [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.1 ", b"http/1.1"])
length = mostly([b"0", b"4"], [b"+4", b"4 ", b"04", b"4,4", b"-1", b"0x4", b"9" * 25, b""])
coding = mostly(
    [b"chunked", b"Chunked"],
    [b"chunked,", b"identity, chunked", b"chun\x00ked", b"xchunked", b"gzip", b"\tchunked", b""],
)
name_noise = mostly([b""], [b" ", b"\t", b"\x00", b"_", b"\r\n "])
plain_value = mostly(
    [b"close", b"keep-alive", b"100-continue", b"x"],
    [b"Content-Length", b"websocket", b"h2c", b"a\x00b", b"a\rb", b"\xff", b""],
)
header = st.one_of(
    st.tuples(mostly([b"Content-Length"], [b"content-length", b"Content_Length"]), length),
    st.tuples(mostly([b"Transfer-Encoding"], [b"transfer-encoding", b"TE"]), coding),
    st.tuples(mostly([b"A", b"Connection"], [b"Host", b"Expect", b"Upgrade"]), plain_value),
)
chunks = mostly(
    [b"4\r\nabcd\r\n0\r\n\r\n", b"0\r\n\r\n", b"abcd", b""],
    [
        b"4\r\nabcd\r\n0\r\nHost: x\r\n\r\n",
        b"4;x=\n\r\nabcd\r\n0\r\n\r\n",
        b"4\nabcd\n0\n\n",
        b"ffffffffffffffff1\r\n",
        b"0\r\n\r\nGET " + MARK + b" HTTP/1.1\r\nHost: site.example\r\n\r\n",
        b"GET " + MARK + b" HTTP/1.1\r\nHost: site.example\r\n\r\n",
    ],
)


@st.composite
def request(draw: st.DrawFn) -> bytes:
    """One request, mostly right, with faults anywhere."""
    raw = draw(method) + draw(space) + draw(target) + draw(space) + draw(version) + draw(line_end)
    if draw(st.integers(0, 9)):
        raw += b"Host: site.example" + draw(line_end)
    for name, value in draw(st.lists(header, max_size=4)):
        raw += name + draw(name_noise) + b":" + draw(space) + value + draw(line_end)
    return raw + draw(line_end) + draw(chunks)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(payload=request())
def test_whatever_is_sent_an_app_sees_whole_requests_only(
    edge: EdgeProcess, recorder: Recorder, payload: bytes
) -> None:
    recorder.take()

    answer = exchange(edge.port(), payload, first_s=0.4, quiet_s=0.03, total_s=1.0)

    seen = recorder.take()
    requests = [request for connection in seen for request in connection.requests]
    assert [c.fault for c in seen if c.fault] == []
    assert len(requests) <= 1 + payload.count(MARK)
    assert len(answer.statuses) <= 1 + payload.count(MARK) + payload.count(b"\r\n\r\n")
    for request_ in requests:
        names = [name for name, _ in request_.headers]
        assert names.count(b"host") == 1
        assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1


def test_the_grammar_produces_good_and_bad_requests(edge: EdgeProcess, recorder: Recorder) -> None:
    """A fuzz run in which everything is refused, or everything accepted, would prove nothing."""
    outcomes = set()

    @settings(max_examples=60, deadline=None, database=None, derandomize=True)
    @given(payload=request())
    def sample(payload: bytes) -> None:
        answer = exchange(edge.port(), payload, first_s=0.4, quiet_s=0.03, total_s=1.0)
        outcomes.update(status // 100 for status in answer.statuses)

    sample()
    recorder.take()
    assert {2, 4} <= outcomes
