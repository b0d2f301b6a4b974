"""Common passwords, and what people build of them, are refused without asking anybody.

Place:  make test
Rule:   the lists are those of the library; nothing here names a list of its own.
"""

from __future__ import annotations

import threading

import pytest
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from mergepoint.identity.accounts.caller import Caller
from mergepoint.identity.accounts.config import Register
from mergepoint.identity.accounts.service.accounts import Accounts
from mergepoint.identity.accounts.service.errors import Refused
from mergepoint.identity.accounts.service.guessing import WEIGHED_CHARS_MAX, is_guessable

from .conftest import Open

TOP = 3000
LEAST = 8
"""The shortest `password_length_min` there can be."""
DEFAULT = 12


def of_length(name: str, least: int) -> list[str]:
    """The words of one list that the policy would let pass by their length, the commonest first."""
    return [word for word in FREQUENCY_LISTS[name] if len(word) >= least]


def test_the_commonest_passwords_of_the_least_length_are_all_refused() -> None:
    common = of_length("passwords", LEAST)[:TOP]

    assert len(common) == TOP
    assert [word for word in common if not is_guessable(word, ())] == []


def test_every_listed_password_and_word_of_the_default_length_is_refused() -> None:
    listed = [word for name in FREQUENCY_LISTS for word in of_length(name, DEFAULT)]

    assert len(listed) > TOP
    assert [word for word in listed if not is_guessable(word, ())] == []


@pytest.mark.parametrize(
    "password",
    [
        "password1234", "P@ssw0rd1234", "Football2024!", "qwertyuiop12", "1qaz2wsx3edc",
        "letmeinletmein", "abcdefghijkl", "nhoj nhoj nhoj", "24.12.1987 24", "trustno1trustno1",
    ],
)  # fmt: skip
def test_what_is_built_of_common_parts_is_refused_with_the_reason(
    accounts: Accounts, password: str
) -> None:
    assert [fault.code for fault in accounts.passwords.judge(password, "ada")] == ["common"]
    with pytest.raises(Refused, match="guessers begin there"):
        accounts.passwords.hashed(password, "ada")


@pytest.mark.parametrize(
    "password",
    ["seven pears on a wall", "correct horse battery staple", "naïve café owner",
     "樱桃树下有七只蓝色的小猫"],
)  # fmt: skip
def test_a_few_unrelated_words_are_good_in_any_script(accounts: Accounts, password: str) -> None:
    assert accounts.passwords.judge(password, "ada") == []


@pytest.mark.parametrize("password", ["4d4l0v3l4c399", "ecalevolada99", "d3lt4w0rk5-99"])
def test_what_a_person_and_the_site_are_called_counts_as_guessed(
    opened: Open, password: str
) -> None:
    """Also spelled with digits or backwards, where looking for the name finds nothing."""
    theirs, others = opened(site="deltaworks"), opened(site="acme")

    found = theirs.passwords.judge(password, "adalovelace")

    assert [fault.code for fault in found] == ["common"]
    assert others.passwords.judge(password, "bob") == []


def test_a_long_password_is_weighed_by_its_beginning() -> None:
    beginning = "password" * (WEIGHED_CHARS_MAX // 8)

    assert is_guessable(beginning + "and then something nobody thinks of", ())
    assert not is_guessable("seven pears on a wall" * 40, ())


def test_the_words_of_one_person_are_no_words_of_another() -> None:
    """The library keeps them where all threads look."""
    wrong: list[str] = []

    def weigh(own: str, others: str) -> None:
        for _ in range(25):
            if not is_guessable(own * 2, (own,)) or is_guessable(others * 2, (own,)):
                wrong.append(own)

    words = ("xkqvwzjp", "bfmgtlrh")
    threads = [threading.Thread(target=weigh, args=pair) for pair in (words, words[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_person_who_joins_is_told_too(opened: Open, by: Caller) -> None:
    accounts = opened(register=Register.OPEN)

    with pytest.raises(Refused, match="common"):
        accounts.joining.register("ada", "manchesterunited", by)
    assert accounts.people.find("ada") is None
