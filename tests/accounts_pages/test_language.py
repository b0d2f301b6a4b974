"""The words of the pages: every language has all of them."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from mergepoint.identity.accounts.pages import language

PAGES = Path(language.__file__).parent
USED = re.compile(r"""\b(?:t|say|message|fail)\(\s*(?:"[a-z_]*",\s*)?"([a-z_]+\.[a-z_]+)"[,)]""")
BUILT = ("mail.", "said.", "error.password_", "factor.", "state.", "first.", "invite.", "register.")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("lang", language.LANGUAGES)
def test_every_language_has_the_same_sentences_with_the_same_placeholders(lang: str) -> None:
    first = language.speech(language.LANGUAGES[0]).sentences
    other = language.speech(lang).sentences

    assert set(other) == set(first)
    assert {k: placeholders(v) for k, v in other.items()} == {
        k: placeholders(v) for k, v in first.items()
    }


def test_every_sentence_that_pages_ask_for_exists_and_none_is_left_over() -> None:
    source = "\n".join(
        path.read_text() for path in [*PAGES.glob("*.py"), *PAGES.glob("templates/*.html")]
    )
    used = set(USED.findall(source)) | set(re.findall(r'"([a-z]+\.[a-z_]+)"', source))
    known = set(language.speech("en").sentences)
    texts = {f"{key}_text" for key in used}
    shown = "\n".join(path.read_text() for path in PAGES.glob("templates/*.html"))
    groups = {key.partition(".")[0] for key in known}
    asked = {key for key in USED.findall(source) if not key.startswith("accounts.")}
    asked |= {k for k in re.findall(r'"([a-z]+\.[a-z_]+)"', shown) if k.partition(".")[0] in groups}
    asked |= set(re.findall(r'"(error\.[a-z_]+)"', source))

    assert {key for key in asked if not key.endswith((".js", ".html"))} - known == set()
    left = {k for k in known - used - texts if not k.startswith(BUILT)}
    assert left == set()


@pytest.mark.parametrize(
    ("wishes", "accept", "lang"),
    [
        (["de"], "en", "de"),
        (["", ""], "de-CH,fr;q=0.9,en;q=0.8", "de"),
        ([""], "en;q=0.3, de;q=0.8", "de"),
        ([""], "de;q=0, en;q=0.1", "en"),
        ([""], "fr, nl", "en"),
        (["fr"], "de", "de"),
        ([""], "de;q=broken, en", "en"),
        ([""], "", "en"),
        ([""], "x," * 5000 + "de", "en"),
    ],
)
def test_the_language_is_ones_own_wish_then_the_browsers_then_english(
    wishes: list[str], accept: str, lang: str
) -> None:
    assert language.choose(wishes, accept) == lang


def test_pages_speak_german_to_a_german_browser_and_remember_another_choice(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.browser()
    german = browser.get("/login", headers={"Accept-Language": "de"})
    assert 'lang="de"' in german.text and "Anmelden" in german.text

    answer = browser.get("/language?lang=en&next=/-/accounts/login")
    assert answer.location == "/-/accounts/login"
    assert 'lang="en"' in browser.get("/login", headers={"Accept-Language": "de"}).text


def test_the_profile_decides_over_the_browser(house) -> None:  # type: ignore[no-untyped-def]
    browser = house.inside("rosa")
    browser.post("/profile", {"name": "Rosa", "email": "", "lang": "de"})

    assert "Sitzungen" in browser.get("/sessions", headers={"Accept-Language": "en"}).text
