"""Read the tickets that lie in a repository: one JSON object a line, or GitHub's export.

Place:  jobs -> [ticket_files]
Rule:   pure; all wrong lines are named at once, and what is too long is cut to what fits.

`tickets.jsonl` at the root: {"number": 7, "title": "", "body": "", "state": "open", "labels": [""],
"author": "", "at": "2026-11-03T08:00:00Z", "comments": [{"author": "", "body": "", "at": ""}]}, of
which number and title are needed. `issues.json` is a list as GitHub's API gives it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

FILES = ("tickets.jsonl", "issues.json")
FILE_BYTES_MAX = 32 * 1024 * 1024
TICKETS_MAX = 10_000
TICKET_BYTES_MAX = 256 * 1024
"""Of one ticket as it travels; its last comments are left out to fit."""
BATCH_BYTES_MAX = 512 * 1024
BATCH_MAX = 25
WRONG_SHOWN_MAX = 5
LABELS_MAX = 20
Ticket = dict[str, Any]
Entry = tuple[str, Callable[[Any], Ticket], Any]


class Unreadable(ValueError):
    """The file cannot be taken over; the message names every wrong line, up to a few."""


def read(name: str, data: bytes) -> list[Ticket]:
    """Return the tickets of a file of this name, in its order."""
    if len(data) > FILE_BYTES_MAX:
        most = FILE_BYTES_MAX >> 20
        raise Unreadable(f"{name} has {len(data) >> 20} MiB; up to {most} MiB are read.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name} is not UTF-8 at byte {error.start}.") from None
    found, wrong = _checked(_entries(name, text))
    if wrong:
        more = len(wrong) - WRONG_SHOWN_MAX
        rest = f" And {more} more." if more > 0 else ""
        raise Unreadable(f"{name}: " + "; ".join(wrong[:WRONG_SHOWN_MAX]) + "." + rest)
    if len(found) > TICKETS_MAX:
        raise Unreadable(f"{name} has {len(found):,} tickets; up to {TICKETS_MAX:,} are read.")
    return found


def batches(tickets: Sequence[Ticket]) -> Iterator[list[Ticket]]:
    """Yield the tickets in groups that fit into one message."""
    group: list[Ticket] = []
    size = 0
    for ticket in tickets:
        length = len(json.dumps(ticket))
        if group and (len(group) == BATCH_MAX or size + length > BATCH_BYTES_MAX):
            yield group
            group, size = [], 0
        group.append(ticket)
        size += length
    if group:
        yield group


def _entries(name: str, text: str) -> Iterator[Entry]:
    """Yield every entry with the words for its place, and what reads it."""
    if name.endswith(".jsonl"):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"line {number}", _line, line
        return
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise Unreadable(f"{name} is no JSON: {error}.") from None
    if not isinstance(listed, list):
        raise Unreadable(f"{name} is no list of issues.")
    for number, raw in enumerate(listed, 1):
        if not (isinstance(raw, dict) and "pull_request" in raw):  # GitHub lists these, too
            yield f"entry {number}", _github, raw


def _checked(entries: Iterator[Entry]) -> tuple[list[Ticket], list[str]]:
    found: dict[str, Ticket] = {}
    wrong = []
    for place, read_it, raw in entries:
        try:
            ticket = _cut(read_it(raw))
        except (ValueError, TypeError, RecursionError) as error:
            wrong.append(f"{place} {error}")
            continue
        except AttributeError:
            wrong.append(f"{place} has a list where objects should be, or the reverse")
            continue
        if ticket["key"] in found:
            wrong.append(f"{place} has number {ticket['key']}, which was there before")
        found[ticket["key"]] = ticket
    return list(found.values()), wrong


def _line(text: str) -> Ticket:
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ValueError(f"is no JSON: {error}") from None
    return _own(raw)


def _own(raw: Any) -> Ticket:
    _need(raw)
    comments = raw.get("comments") or []
    return {
        **_common(raw, raw.get("author"), raw.get("at")),
        "labels": [_text(name, 40) for name in (raw.get("labels") or [])[:LABELS_MAX]],
        "comments": [_comment(c, c.get("author"), c.get("at")) for c in comments],
    }


def _github(raw: Any) -> Ticket:
    _need(raw)
    comments = raw.get("comments") if isinstance(raw.get("comments"), list) else []
    labels = [one.get("name") if isinstance(one, dict) else one for one in raw.get("labels") or []]
    return {
        **_common(raw, (raw.get("user") or {}).get("login"), raw.get("created_at")),
        "labels": [_text(name, 40) for name in labels[:LABELS_MAX]],
        "comments": [
            _comment(c, (c.get("user") or {}).get("login"), c.get("created_at")) for c in comments
        ],
    }


def _need(raw: Any) -> None:
    if not isinstance(raw, Mapping):
        raise ValueError("is no object")  # noqa: TRY004 - one error for all
    if not isinstance(raw.get("number"), int | str) or not str(raw["number"]).strip():
        raise ValueError("has no number")
    if not isinstance(raw.get("title"), str) or not raw["title"].strip():
        raise ValueError("has no title")


def _common(raw: Mapping[str, Any], author: Any, at: Any) -> Ticket:
    return {
        "key": str(raw["number"])[:40],
        "title": " ".join(raw["title"].split())[:160],
        "body": _text(raw.get("body"), 20_000),
        "state": "closed" if raw.get("state") == "closed" else "open",
        "author": _text(author, 64),
        "at": _moment(at),
    }


def _comment(raw: Mapping[str, Any], author: Any, at: Any) -> dict[str, str]:
    body = _text(raw.get("body"), 10_000)
    return {"author": _text(author, 64), "body": body, "at": _moment(at)}


def _cut(ticket: Ticket) -> Ticket:
    while ticket["comments"] and len(json.dumps(ticket)) > TICKET_BYTES_MAX:
        ticket["comments"].pop()
    return ticket


def _text(value: Any, chars_max: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"has {str(value)[:40]!r} where text should be")
    return value.replace("\r\n", "\n").replace("\x00", "")[:chars_max]


def _moment(value: Any) -> str:
    """Return a moment in UTC; empty for none. Without a zone it is UTC."""
    if not value:
        return ""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"has {str(value)[:40]!r} where a moment should be") from None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.replace(tzinfo=None).isoformat(timespec="seconds")
