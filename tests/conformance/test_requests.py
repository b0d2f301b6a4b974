"""What reaches an app when clients send what they please: nothing, or one well-formed request.

Place:  raw client -> edge -> recorder
Rule:   judged by what the recorder saw, never by the status alone.
"""

from __future__ import annotations

import pytest
from mergepoint_testkit.corpora import Case
from mergepoint_testkit.edge import EdgeProcess
from mergepoint_testkit.payloads import Payload, payloads
from mergepoint_testkit.raw import Answer, exchange
from mergepoint_testkit.recorder import Connection, Recorder
from mergepoint_testkit.spoofing import FORWARDING, IDENTITY, VALUE, spellings

ENVOY_ACCEPTS = 10
"""Invalid requests of the corpus that Envoy 1.40 answers below 400; see test_differential."""


def send(edge: EdgeProcess, recorder: Recorder, payload: bytes) -> tuple[Answer, list[Connection]]:
    """Send one payload and return the answer with what reached the backend."""
    recorder.take()
    answer = exchange(edge.port(), payload, quiet_s=0.08, total_s=2.0)
    return answer, recorder.take()


def assert_one_for_one(answer: Answer, seen: list[Connection]) -> None:
    """Every accepted answer stands for at most one well-formed request, and nothing else came."""
    faults = [c.fault for c in seen if c.fault]
    requests = sum(len(c.requests) for c in seen)

    assert faults == []
    assert requests <= answer.accepted  # the edge answers a few itself: OPTIONS *, a redirect


@pytest.mark.parametrize("payload", payloads(), ids=lambda p: p.name)
def test_a_trick_reaches_no_app(edge: EdgeProcess, recorder: Recorder, payload: Payload) -> None:
    answer, seen = send(edge, recorder, payload.raw)

    assert_one_for_one(answer, seen)
    assert not any(r.target == b"/smuggled" for c in seen for r in c.requests)
    assert bool(answer.accepted) is not payload.refused


@pytest.mark.parametrize("payload", payloads(), ids=lambda p: p.name)
def test_a_trick_cut_in_two_is_still_refused(
    edge: EdgeProcess, recorder: Recorder, payload: Payload
) -> None:
    """The same bytes behind a first, good request, which may be lost but never doubled."""
    first = b"GET /first HTTP/1.1\r\nHost: site.example\r\n\r\n"

    answer, seen = send(edge, recorder, first + payload.raw)

    sent = 1 if payload.refused else 2
    assert [c.fault for c in seen if c.fault] == []
    assert sum(len(c.requests) for c in seen) <= sent
    assert answer.accepted <= sent
    assert not any(r.target == b"/smuggled" for c in seen for r in c.requests)


def test_the_corpus_never_puts_two_requests_where_one_was_sent(
    edge: EdgeProcess, recorder: Recorder, corpus: list[Case], scores: dict[str, object]
) -> None:
    wrongly_accepted, refused = [], []
    for case in corpus:
        answer, seen = send(edge, recorder, case.payload)
        assert_one_for_one(answer, seen)
        if not case.valid and answer.accepted:
            wrongly_accepted.append(case.name)
        if case.valid and not answer.accepted:
            refused.append(case.name)

    scores["gunicorn corpus"] = {
        "invalid": sum(not c.valid for c in corpus),
        "invalid accepted": wrongly_accepted,
        "valid": sum(c.valid for c in corpus),
        "valid refused": refused,
    }
    assert len(wrongly_accepted) < ENVOY_ACCEPTS


def test_no_spelling_of_a_forwarding_or_identity_header_reaches_an_app(
    edge: EdgeProcess, recorder: Recorder
) -> None:
    names = [form for name in (*FORWARDING, *IDENTITY) for form in spellings(name)]
    leaked = []
    for start in range(0, len(names), 40):
        lines = "".join(f"{name}: {VALUE}\r\n" for name in names[start : start + 40])
        raw = f"GET / HTTP/1.1\r\nHost: site.example\r\n{lines}\r\n".encode()
        answer, seen = send(edge, recorder, raw)
        assert_one_for_one(answer, seen)
        leaked += [
            (name, value)
            for connection in seen
            for request in connection.requests
            for name, value in request.headers
            if VALUE.encode() in value
        ]

    assert len(names) >= 200
    assert leaked == []


def test_a_header_named_by_connection_cannot_remove_what_the_edge_sets(
    edge: EdgeProcess, recorder: Recorder
) -> None:
    raw = (
        b"GET / HTTP/1.1\r\nHost: site.example\r\n"
        b"Connection: close, X-Forwarded-For, X-Request-Id, Host, X-Mine\r\nX-Mine: 1\r\n\r\n"
    )

    _, seen = send(edge, recorder, raw)

    names = {name for c in seen for r in c.requests for name, _ in r.headers}
    assert {b"x-forwarded-for", b"x-request-id", b"host"} <= names
    assert b"x-mine" not in names


def test_the_edge_tells_the_app_where_the_request_came_from(
    edge: EdgeProcess, recorder: Recorder
) -> None:
    _, seen = send(edge, recorder, b"GET /a?b=1 HTTP/1.1\r\nHost: Site.Example:8080\r\n\r\n")

    ((request,),) = (c.requests for c in seen)
    headers = dict(request.headers)
    assert request.target == b"/a?b=1"
    assert headers[b"x-forwarded-for"] == b"127.0.0.1"
    assert headers[b"x-forwarded-proto"] == b"http"
    assert headers[b"x-forwarded-host"] == b"site.example:8080"
    assert len(headers[b"x-request-id"]) >= 16
    assert headers[b"traceparent"].startswith(b"00-")


def test_trailers_do_not_reach_the_app(edge: EdgeProcess, recorder: Recorder) -> None:
    raw = (
        b"POST / HTTP/1.1\r\nHost: site.example\r\n"
        b"Transfer-Encoding: chunked\r\nTrailer: Remote-User\r\n\r\n"
        b"3\r\nabc\r\n0\r\nRemote-User: " + VALUE.encode() + b"\r\n\r\n"
    )

    answer, seen = send(edge, recorder, raw)

    assert_one_for_one(answer, seen)
    assert not any(VALUE.encode() in c.raw for c in seen)
