"""The client for OpenID Connect against a real, certified provider."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from mergepoint_testkit.openid import SECRET, OpenId, log_in, running_provider

from mergepoint.core.clock import SystemClock
from mergepoint.identity.accounts.config import Provider
from mergepoint.identity.accounts.pages.oidc import (
    OpenIdClient,
    ProviderInvalid,
    ProviderRefused,
)
from mergepoint.identity.accounts.pages.oidc_metadata import ProviderLost

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
BACK = "http://127.0.0.1:9/-/accounts/login/back/garden"


@pytest.fixture(scope="module")
def running() -> Iterator[OpenId]:
    with running_provider(BACK) as started:
        yield started


@pytest.fixture
def client() -> OpenIdClient:
    return OpenIdClient(SystemClock())


@pytest.fixture
def garden(running: OpenId) -> Provider:
    return Provider(
        name="garden",
        issuer=running.issuer,
        client_id="mergepoint",
        client_secret=SECRET,
        scopes=("openid", "profile", "email", "groups"),
        groups_claim="groups",
    )


def came_back(client: OpenIdClient, garden: Provider, account: str, **changed: str):  # type: ignore[no-untyped-def]
    """Log in at the provider; return what was kept and the answer it sent back."""
    address, kept = client.begin(garden, BACK)
    onward = log_in(address, account)
    assert onward.startswith(f"{BACK}?")
    return kept, {**dict(parse_qsl(urlsplit(onward).query)), **changed}


def test_somebody_who_logs_in_there_is_known_by_subject_name_and_groups(client, garden) -> None:  # type: ignore[no-untyped-def]
    visitor = client.finish(garden, *came_back(client, garden, "subject-rosa"))

    assert visitor.subject == "subject-rosa"
    assert (visitor.name, visitor.user) == ("Rosa Quince", "rosa")
    assert visitor.email == "rosa@orchard.example"
    assert visitor.groups == ("growers", "everybody")


def test_an_address_the_provider_has_not_verified_is_no_address(client, garden) -> None:  # type: ignore[no-untyped-def]
    visitor = client.finish(garden, *came_back(client, garden, "subject-otto"))

    assert visitor.name == "Otto"
    assert visitor.email == ""


def test_the_request_carries_challenge_state_and_nonce_but_never_the_verifier(
    client, garden
) -> None:  # type: ignore[no-untyped-def]
    address, kept = client.begin(garden, BACK)
    sent = dict(parse_qsl(urlsplit(address).query))

    assert sent["response_type"] == "code"
    assert sent["code_challenge_method"] == "S256"
    assert sent["state"] == kept["state"]
    assert sent["nonce"] == kept["nonce"]
    assert kept["verifier"] not in address


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "of somebody else"},
        {"state": ""},
        {"iss": "https://elsewhere.example"},
        {"code": ""},
    ],
    ids=["another state", "no state", "another issuer", "no code"],
)
def test_an_answer_that_is_not_to_our_question_logs_nobody_in(client, garden, changed) -> None:  # type: ignore[no-untyped-def]
    kept, answer = came_back(client, garden, "subject-rosa", **changed)

    with pytest.raises(ProviderInvalid):
        client.finish(garden, kept, answer)


def test_an_answer_without_the_issuer_the_provider_promises_is_refused(client, garden) -> None:  # type: ignore[no-untyped-def]
    kept, answer = came_back(client, garden, "subject-rosa")
    del answer["iss"]

    with pytest.raises(ProviderInvalid, match="issuer"):
        client.finish(garden, kept, answer)


def test_an_id_token_made_for_another_question_is_refused(client, garden) -> None:  # type: ignore[no-untyped-def]
    kept, answer = came_back(client, garden, "subject-rosa")

    with pytest.raises(ProviderInvalid, match="ID token"):
        client.finish(garden, {**kept, "nonce": "of another question"}, answer)


def test_a_stolen_code_is_worth_nothing_without_the_verifier(client, garden) -> None:  # type: ignore[no-untyped-def]
    kept, answer = came_back(client, garden, "subject-rosa")

    with pytest.raises(ProviderRefused, match="invalid_grant"):
        client.finish(garden, {**kept, "verifier": "x" * 64}, answer)


def test_a_code_works_once(client, garden) -> None:  # type: ignore[no-untyped-def]
    kept, answer = came_back(client, garden, "subject-rosa")
    client.finish(garden, kept, answer)

    with pytest.raises(ProviderRefused):
        client.finish(garden, kept, answer)


def test_somebody_who_turns_back_at_the_provider_is_told_so(client, garden) -> None:  # type: ignore[no-untyped-def]
    address, kept = client.begin(garden, BACK)
    answer = dict(parse_qsl(urlsplit(log_in(address, "subject-rosa", agrees=False)).query))

    with pytest.raises(ProviderRefused, match="access_denied"):
        client.finish(garden, kept, answer)


def test_a_fresh_login_is_asked_for_and_checked(client, garden) -> None:  # type: ignore[no-untyped-def]
    address, kept = client.begin(garden, BACK, again=True)
    answer = dict(parse_qsl(urlsplit(log_in(address, "subject-rosa")).query))

    assert "prompt=login" in address
    assert client.finish(garden, kept, answer).subject == "subject-rosa"


def test_a_login_that_should_be_fresh_but_is_not_dated_is_refused(client, garden) -> None:  # type: ignore[no-untyped-def]
    kept, answer = came_back(client, garden, "subject-rosa")

    with pytest.raises(ProviderInvalid, match="again"):
        client.finish(garden, {**kept, "again": True}, answer)


def test_a_provider_whose_document_names_another_issuer_is_not_used(client, garden) -> None:  # type: ignore[no-untyped-def]
    imposter = replace(garden, issuer=garden.issuer + "/")

    with pytest.raises(ProviderLost, match="another issuer"):
        client.begin(imposter, BACK)


def test_a_provider_out_of_reach_is_lost_and_not_remembered_as_lost(client, garden) -> None:  # type: ignore[no-untyped-def]
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(ProviderLost, match="did not answer"):
        client.begin(replace(garden, issuer=nobody), BACK)

    address, _ = client.begin(garden, BACK)
    assert address.startswith(garden.issuer)


def test_a_public_client_has_no_secret_and_still_needs_the_verifier() -> None:
    client = OpenIdClient(SystemClock())
    with running_provider(BACK, client_secret=None, token_endpoint_auth_method="none") as started:
        public = Provider(name="garden", issuer=started.issuer, client_id="mergepoint")
        visitor = client.finish(public, *came_back(client, public, "subject-rosa"))

    assert visitor.subject == "subject-rosa"
