"""What the accounts app is told: read strictly, every error at once, no secret repeated.

Place:  make test
Rule:   through the one JSON document the worker gets.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mergepoint.identity.accounts.config import (
    AccountsSettings,
    Provider,
    SettingsRefused,
    checked,
    from_json,
    read,
)
from mergepoint.identity.accounts.service.breach import breach_check

GOOD = AccountsSettings(
    site="acme",
    issuer="mergepoint:acme",
    database="postgresql://accounts:s3cret@db/acme",
    keys_dir=Path("/srv/acme/keys"),
    state_dir=Path("/srv/acme"),
    public_url="https://acme.example",
    providers=(
        Provider(name="kc", issuer="https://id.example", client_id="a", client_secret="s4"),
    ),
)


def test_settings_read_as_they_were_written() -> None:
    assert from_json(GOOD.to_json()) == GOOD
    assert read({"MERGEPOINT_ACCOUNTS": GOOD.to_json()}) == GOOD


def test_without_the_variable_it_says_what_runs_the_app() -> None:
    with pytest.raises(SettingsRefused, match="is not set") as refused:
        read({})
    assert refused.value.next == "mergepoint run"


def test_no_secret_is_shown() -> None:
    assert "s3cret" not in repr(GOOD)
    assert "s4" not in repr(GOOD)


def test_every_error_is_told_at_once() -> None:
    document = json.loads(GOOD.to_json())
    document.update(site="", token_life_s="600", register="maybe", bogus=1, argon2={"passes": 0})
    del document["issuer"]

    with pytest.raises(SettingsRefused) as refused:
        from_json(json.dumps(document))

    for place in ("site:", "token_life_s:", "register:", "bogus:", "argon2.passes:", "issuer:"):
        assert place in refused.value.message
    assert "6 wrong" in refused.value.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"database": "mysql://x/y"}, "database:"),
        ({"database": "sqlite:///relative.db"}, "database:"),
        ({"keys_dir": Path("keys")}, "keys_dir:"),
        ({"public_url": "https://acme.example/"}, "public_url:"),
        ({"public_url": "https://u@acme.example"}, "public_url:"),
        ({"public_url": "https://acme.example:x"}, "public_url:"),
        ({"roles": {"reader": ("a",)}}, "nobody could administer"),
        ({"passwords": False, "passkeys": False, "providers": ()}, "nobody could log in"),
        ({"session_idle_s": 15 * 86400.0}, "session_idle_s:"),
        ({"session_idle_s": 60.0}, "token_life_s:"),
        ({"breached": "/no/such/file"}, "breached:"),
        ({"breached": "module"}, "breached:"),
        ({"providers": (replace(GOOD.providers[0], issuer="http://id.example"),)}, "issuer:"),
        ({"providers": (replace(GOOD.providers[0], scopes=()),)}, "openid"),
        ({"providers": (replace(GOOD.providers[0], role_map={"g": ("x",)}),)}, "no role 'x'"),
        ({"providers": GOOD.providers * 2}, "two are named"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsRefused, match=said) as refused:
        checked(replace(GOOD, **change))
    assert "s3cret" not in refused.value.message


@pytest.mark.parametrize("text", ["", "[", "[]", "null", '"x"', "{" * 5000])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(SettingsRefused):
        from_json(text)


@pytest.mark.parametrize("ending", ["\n", "\r\n", ":17\n"])
@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_a_list_of_hashes_finds_each_and_nothing_else(
    tmp_path: Path, ending: str, count: int
) -> None:
    known = [f"password {n}" for n in range(count)]
    hashes = sorted(hashlib.sha1(p.encode()).hexdigest().upper() for p in known)
    file = tmp_path / "hashes.txt"
    file.write_bytes("".join(h + ending for h in hashes).encode())
    breached = breach_check(str(file))

    assert all(breached(password) for password in known)
    assert not any(breached(f"other {n}") for n in range(50))


def test_a_hook_of_the_site_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site_hook.py").write_text(
        "def known(password):\n    if password == 'boom': raise OSError\n"
        "    return password == 'plum'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    breached = breach_check("site_hook:known")

    assert breached("plum")
    assert not breached("pear")
    assert not breached("boom")
    for wrong in ("site_hook:missing", "no_such_module:x", "site_hook:__name__"):
        with pytest.raises(SettingsRefused):
            breach_check(wrong)
