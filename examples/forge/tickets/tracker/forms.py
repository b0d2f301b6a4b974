"""What people typed, checked: values kept as typed, errors by field.

Place:  a posted form -> [forms] -> views
Rule:   pure; every message says what to do.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tracker.models import BODY_CHARS_MAX, COMMENT_CHARS_MAX, HANDLE_CHARS_MAX, TITLE_CHARS_MAX

HANDLE = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(slots=True)
class TicketForm:
    """The fields of a ticket as typed; `version` is the one the writer saw, 0 for a new one."""

    title: str = ""
    body: str = ""
    assignee: str = ""
    labels: tuple[str, ...] = ()
    version: int = 0
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class CommentForm:
    """A comment as typed; `then` is ``close``, ``reopen`` or empty."""

    body: str = ""
    then: str = ""
    errors: dict[str, str] = field(default_factory=dict)


def read_ticket(
    typed: Mapping[str, str], labels: Sequence[str], known_labels: Collection[str]
) -> TicketForm:
    """Return the form with an error beside each field that cannot be saved."""
    form = TicketForm(
        title=" ".join(typed.get("title", "").split()),
        body=_lines(typed.get("body", "")),
        assignee=typed.get("assignee", "").strip().lower(),
        labels=tuple(name for name in labels if name in known_labels),
        version=_number(typed.get("version", "0")),
    )
    if not form.title:
        form.errors["title"] = "A ticket needs a title: one line that says what is wrong or wanted."
    elif len(form.title) > TITLE_CHARS_MAX:
        form.errors["title"] = _too_long("The title", form.title, TITLE_CHARS_MAX)
    if len(form.body) > BODY_CHARS_MAX:
        form.errors["body"] = _too_long("The description", form.body, BODY_CHARS_MAX)
    if form.assignee and (wrong := _handle_error(form.assignee)):
        form.errors["assignee"] = wrong
    return form


def read_comment(typed: Mapping[str, str]) -> CommentForm:
    """Return the comment with its errors; closing or reopening needs no words."""
    then = typed.get("then", "")
    form = CommentForm(
        body=_lines(typed.get("body", "")).strip(),
        then=then if then in {"close", "reopen"} else "",
    )
    if not form.body and not form.then:
        form.errors["body"] = "Write something first; an empty comment would not help anybody."
    elif len(form.body) > COMMENT_CHARS_MAX:
        form.errors["body"] = _too_long("The comment", form.body, COMMENT_CHARS_MAX)
    return form


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\x00", "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _too_long(what: str, text: str, chars_max: int) -> str:
    return f"{what} has {len(text):,} characters; at most {chars_max:,} fit. Please shorten it."


def _handle_error(handle: str) -> str:
    if len(handle) > HANDLE_CHARS_MAX or not HANDLE.fullmatch(handle):
        return (
            f"A name to log in with has up to {HANDLE_CHARS_MAX} small letters, digits, dots or "
            "dashes, such as reviewer."
        )
    return ""
