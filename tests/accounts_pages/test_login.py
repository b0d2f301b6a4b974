"""Logging in and out with a password."""

from __future__ import annotations

import pytest

PASSWORD = "seven pears on a wall"


def test_a_right_password_opens_a_session_and_leads_to_what_was_asked_for(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    browser = house.browser()

    answer = browser.log_in("rosa", next="/tickets/?open=1")

    assert (answer.status_code, answer.location) == (303, "/tickets/?open=1")
    assert browser.get("/whoami").json["user"] == "rosa"


def test_the_cookies_of_a_session_have_the_names_and_bounds_of_the_contract(house) -> None:  # type: ignore[no-untyped-def]
    house.person("rosa")
    plain = house.browser().log_in("rosa").headers.getlist("Set-Cookie")
    secure = house.browser("https://localhost:8000").log_in("rosa").headers.getlist("Set-Cookie")

    for name in ("session", "refresh"):
        [found] = [c for c in plain if c.startswith(f"mergepoint-{name}=")]
        assert "Path=/;" in found and "HttpOnly" in found and "SameSite=Lax" in found
        assert "Secure" not in found and "Domain" not in found
        [found] = [c for c in secure if c.startswith(f"__Host-mergepoint-{name}=")]
        assert "Path=/;" in found and "Secure" in found and "Domain" not in found
