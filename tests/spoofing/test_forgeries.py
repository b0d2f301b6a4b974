"""A1: a token that the site did not issue, or not like this, proves nobody."""

from __future__ import annotations

import httpx2
import pytest

from .conftest import Site, claimed
from .forgeries import Forger


def asked(site: Site, **kwargs: object) -> httpx2.Response:
    return site.told("plain", "/secret", **kwargs)


@pytest.fixture
def forger(site: Site) -> Forger:
    return Forger(site.alice.session, site.signing)


def refused_everywhere(site: Site, tokens: dict[str, str]) -> None:
    """Each token, as a cookie and as a Bearer, opens nothing and tells the app nothing."""
    for name, token in tokens.items():
        for place, headers in {
            "cookie": {"Cookie": f"mergepoint-session={token}"},
            "bearer": {"Authorization": f"Bearer {token}"},
        }.items():
            guarded = asked(site, headers=headers)
            assert guarded.status_code in {400, 401, 431}, f"{name} as {place}: {guarded.text}"
            open_page = site.told("plain", headers=headers)
            if open_page.status_code == 200:
                assert claimed(open_page.json()) == [], f"{name} as {place}"


def test_the_genuine_token_opens_the_page_so_that_refusals_mean_something(
    site: Site, forger: Forger
) -> None:
    for token in (forger.genuine, forger.by_site()):
        answer = asked(site, headers={"Cookie": f"mergepoint-session={token}"})
        assert answer.status_code == 200, answer.text


def test_a_token_without_the_sites_signature_proves_nobody(site: Site, forger: Forger) -> None:
    refused_everywhere(site, forger.unsigned())


def test_a_token_in_another_spelling_proves_nobody(site: Site, forger: Forger) -> None:
    refused_everywhere(site, forger.misspelt())


def test_a_token_with_content_the_site_never_writes_proves_nobody(
    site: Site, forger: Forger
) -> None:
    refused_everywhere(site, forger.miswritten())


def test_the_token_an_app_received_is_worth_nothing_at_the_door(site: Site) -> None:
    told = asked(site, headers={"Cookie": f"mergepoint-session={site.alice.session}"}).json()
    narrow = told["headers"]["mergepoint-identity"]
    refused_everywhere(site, {"an app's token": narrow})


def test_a_session_cookie_of_the_tls_site_is_not_looked_at_without_tls(site: Site) -> None:
    cookie = f"__Host-mergepoint-session={site.alice.session}"
    assert asked(site, headers={"Cookie": cookie}).status_code == 401


def test_a_token_is_its_owners_whatever_name_is_given_with_it(site: Site) -> None:
    for user, allowed in {"alice": True, "__token__": True, "root": False, "Alice": False}.items():
        answer = asked(site, auth=(user, site.alice.token))
        assert (answer.status_code == 200) is allowed, f"{user}: {answer.text}"
        if allowed:
            assert answer.json()["headers"]["remote-user"] == "alice"
            assert "authorization" not in answer.json()["headers"]
