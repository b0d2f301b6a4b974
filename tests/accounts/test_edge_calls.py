"""The three calls of the edge, as the contract writes them.

Place:  make test
Rule:   through Flask, as the edge asks; whatever is sent, the answer is one of the contract's.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.edge_calls import BODY_BYTES_MAX
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.person import Person
from mergepoint.identity.accounts.service.throttle import CREDENTIAL

from .acting import events, log_in


def post(edge: FlaskClient, call: str, body: Any, **headers: str) -> Any:
    return edge.post(f"/edge/{call}", headers={"Mergepoint-Call": call, **headers}, json=body)


def asked(**more: Any) -> dict[str, Any]:
    return {
        "address": "192.0.2.7",
        "agent": "git/2",
        "request_id": "r1",
        "user": "",
        "scheme": "bearer",
        **more,
    }


@pytest.mark.parametrize("method", ["get", "post", "put", "delete"])
@pytest.mark.parametrize("path", ["/edge/feed", "/edge/refresh", "/edge/check"])
@pytest.mark.parametrize("header", [None, "", "feeds", "refresh,feed"])
def test_nobody_but_the_edge_can_ask(
    edge: FlaskClient, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Mergepoint-Call": header}

    answer = getattr(edge, method)(path, headers=headers)

    assert answer.status_code in {404, 405}


def test_a_call_s_header_opens_no_other_call(edge: FlaskClient) -> None:
    assert edge.get("/edge/feed", headers={"Mergepoint-Call": "check"}).status_code == 404


def test_the_feed_is_json_that_nobody_keeps(edge: FlaskClient) -> None:
    answer = edge.get("/edge/feed?epoch=&after=0", headers={"Mergepoint-Call": "feed"})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["reset"] is True


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "", "9" * 19, "9" * 30, "\u0661"])
def test_a_position_that_is_none_is_400(edge: FlaskClient, after: str) -> None:
    answer = edge.get(
        "/edge/feed", query_string={"after": after}, headers={"Mergepoint-Call": "feed"}
    )

    assert answer.status_code == 400
    assert answer.json["error"]["code"] == "accounts.call_invalid"


def test_a_refresh_answers_a_token_and_its_cookie(
    edge: FlaskClient, accounts: Accounts, ada: Person
) -> None:
    _, browser = log_in(accounts)

    answer = post(edge, "refresh", asked(refresh=browser.refresh, secure=True))

    assert answer.status_code == 200
    assert set(answer.json) == {"token", "set_cookie"}
    (cookie,) = answer.json["set_cookie"]
    assert cookie.startswith(f"__Host-mergepoint-session={answer.json['token']};")


def test_a_session_that_has_ended_is_401_with_cookies_that_go(
    edge: FlaskClient, accounts: Accounts, ada: Person, by: Caller
) -> None:
    step, browser = log_in(accounts)
    assert step.started is not None
    accounts.sessions.end(step.started.session.sid, by)

    answer = post(edge, "refresh", asked(refresh=browser.refresh, secure=False))

    assert answer.status_code == 401
    assert [c.partition("=")[0] for c in answer.json["set_cookie"]] == [
        "mergepoint-session",
        "mergepoint-refresh",
    ]
    assert all("Max-Age=0" in c for c in answer.json["set_cookie"])


def test_a_right_token_is_told_until_when_and_as_whom(
    edge: FlaskClient, accounts: Accounts, ada: Person, by: Caller
) -> None:
    made = accounts.tokens.create(ada.sub, "git", by)

    answer = post(edge, "check", asked(scheme="basic", user="ada", secret=made.text))

    assert answer.status_code == 200
    assert set(answer.json) == {"claims", "expires"}
    assert answer.json["claims"]["token"] == made.info.id
    assert answer.json["expires"] > answer.json["claims"]["iat"]


def test_guesses_are_429_and_keep_no_right_token_out(
    edge: FlaskClient, accounts: Accounts, ada: Person, by: Caller
) -> None:
    made = accounts.tokens.create(ada.sub, "git", by)
    wrong = asked(secret=f"mpt_{made.info.id}_{'x' * 43}")
    said = [post(edge, "check", wrong) for _ in range(CREDENTIAL.burst + 3)]

    assert [a.status_code for a in said] == [401] * CREDENTIAL.burst + [429] * 3
    assert 0 < said[-1].json["retry_after_s"] <= CREDENTIAL.every_s
    assert post(edge, "check", asked(secret=made.text)).status_code == 200
    assert post(edge, "check", {**wrong, "address": "192.0.2.8"}).status_code == 401
    assert len(events(accounts, "token.refused")) == CREDENTIAL.burst + 1


BAD = [
    {},
    [],
    None,
    "text",
    {"scheme": "digest", "secret": "x"},
    {"scheme": "bearer"},
    {"scheme": "bearer", "secret": 5},
    {"scheme": "bearer", "secret": "x", "address": ["a"]},
]


@pytest.mark.parametrize("body", BAD, ids=str)
def test_what_the_contract_does_not_know_is_400(edge: FlaskClient, body: Any) -> None:
    for call in ("check", "refresh"):
        answer = post(edge, call, body)
        assert answer.status_code == 400
        assert answer.json["error"]["code"] == "accounts.call_invalid"


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"\xff\xfe", b"[" * 50000, b'{"a": ' * 9000, b" " * (BODY_BYTES_MAX + 1)]
)
def test_a_body_that_is_not_json_or_too_long_is_400(edge: FlaskClient, raw: bytes) -> None:
    answer = edge.post("/edge/check", headers={"Mergepoint-Call": "check"}, data=raw)

    assert answer.status_code == 400


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
_fields = ["scheme", "user", "secret", "address", "agent", "request_id", "refresh", "secure"]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    call=st.sampled_from(["check", "refresh"]),
    body=st.dictionaries(st.sampled_from(_fields), _json | st.just("bearer") | st.just(True)),
)
def test_whatever_is_sent_the_answer_is_one_of_the_contract_s(
    edge: FlaskClient, call: str, body: dict[str, Any]
) -> None:
    raw = json.dumps(body)  # escapes lone surrogates, as a JSON text may
    answer = edge.post(f"/edge/{call}", headers={"Mergepoint-Call": call}, data=raw)

    assert answer.status_code in {400, 401, 429}
    assert isinstance(answer.json, dict)
