"""Policies in a file: what they permit, what they forbid, and where a wrong one stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergepoint.identity import ANONYMOUS, Identity
from mergepoint.identity.cedar import (
    Policies,
    PolicyRefused,
    Resource,
    load,
    statements,
)

POLICIES = """\
// Who may do what; a "semicolon; in a comment" ends nothing.
permit(principal, action == Action::"tickets.edit", resource is Ticket)
when { resource.owner == principal.user };

permit(principal in Role::"admin", action, resource);

permit(principal is User, action == Action::"tickets.read", resource)
when { principal.groups.contains("team") && resource in Project::"open" };

@id("no; edits")
forbid(principal, action == Action::"tickets.edit", resource)
when { resource has closed && resource.closed };

permit(principal, action == Action::"tickets.upload", resource)
when { context.bytes <= resource.bytes_max };
"""
ADA = Identity(sub="1", user="ada", kind="person", groups=("team",))
EVE = Identity(sub="2", user="eve", kind="person", roles=("admin",))
ROBOT = Identity(sub="3", user="robot", kind="service", groups=("team",))


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Policies:
    path = tmp_path_factory.mktemp("cedar") / "tickets.cedar"
    path.write_text(POLICIES)
    return load(path)


def test_the_owner_edits_and_others_do_not(rules: Policies) -> None:
    ticket = Resource("Ticket", "7", {"owner": "ada"})

    assert rules.may(ADA, "tickets.edit", ticket)
    assert rules.may(EVE, "tickets.edit", ticket), "a role"
    assert not rules.may(ROBOT, "tickets.edit", ticket)
    assert not rules.may(ANONYMOUS, "tickets.read", Resource("Ticket", "7"))


def test_what_is_forbidden_outweighs_what_is_permitted(rules: Policies) -> None:
    closed = Resource("Ticket", "7", {"owner": "ada", "closed": True})

    assert not rules.may(ADA, "tickets.edit", closed)
    assert not rules.may(EVE, "tickets.edit", closed)
    assert rules.may(EVE, "tickets.read", closed)


def test_groups_kinds_and_places_count(rules: Policies) -> None:
    inside = Resource("Ticket", "7", {}, (("Project", "open"),))

    assert rules.may(ADA, "tickets.read", inside)
    assert not rules.may(ADA, "tickets.read", Resource("Ticket", "7"))
    assert not rules.may(ROBOT, "tickets.read", inside), "a service is no User"


def test_the_context_of_the_request_counts(rules: Policies) -> None:
    ticket = Resource("Ticket", "7", {"bytes_max": 10})

    assert rules.may(ADA, "tickets.upload", ticket, {"bytes": 10})
    assert not rules.may(ADA, "tickets.upload", ticket, {"bytes": 11})


def test_a_policy_that_fails_is_an_error_with_its_line_and_never_an_answer(
    rules: Policies,
) -> None:
    with pytest.raises(PolicyRefused, match=r"tickets\.cedar:2: .*attribute.*owner"):
        rules.may(ADA, "tickets.edit", Resource("Ticket", "7"))
    with pytest.raises(PolicyRefused, match=r"tickets\.cedar:14: .*bytes"):
        rules.may(EVE, "tickets.upload", Resource("Ticket", "7", {"bytes_max": 1}))


@pytest.mark.parametrize("value", [1.5, None, object()])
def test_an_attribute_cedar_has_no_type_for_is_a_clear_error(
    rules: Policies, value: object
) -> None:
    with pytest.raises(PolicyRefused, match=r"tickets\.cedar: ") as refused:
        rules.may(ADA, "tickets.edit", Resource("Ticket", "7", {"owner": value}))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("permit(principal, action, resource);\n\npermit(principal, action, resourc);", 3),
        ("// one\n// two\npermit(principal, action, resource)", 3),
        ("permit(principal, action, resource) when { principal.x = 1 };", 1),
        ("permit(principal, action, resource);\n\n;\n", 3),
        ("nonsense", 1),
    ],
)
def test_a_file_that_is_wrong_names_the_line_of_the_policy(
    tmp_path: Path, text: str, line: int
) -> None:
    path = tmp_path / "wrong.cedar"
    path.write_text(text)

    with pytest.raises(PolicyRefused, match=rf"wrong\.cedar:{line}: ."):
        load(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PolicyRefused, match=r"none\.cedar: No such file"):
        load(tmp_path / "none.cedar")
    (tmp_path / "bytes.cedar").write_bytes(b"permit\xff")
    with pytest.raises(PolicyRefused, match="not UTF-8 at byte 6"):
        load(tmp_path / "bytes.cedar")
    (tmp_path / "large.cedar").write_bytes(b"/" * 1_100_000)
    with pytest.raises(PolicyRefused, match="1100000 bytes; at most 1048576"):
        load(tmp_path / "large.cedar")


PIECES = ["permit(principal, action, resource)", '"a;\\"b"', "// x;y\n", "\n"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_a_text_falls_into_its_policies_and_nothing_is_lost(parts: list[str]) -> None:
    text = ";".join(parts) + ";"
    found = list(statements(text))

    assert "".join("".join(s.text for s in found).split()) in "".join(text.split()) or "//" in text
    for statement in found:
        assert text.splitlines()[statement.line - 1].strip()
        assert statement.text in text
