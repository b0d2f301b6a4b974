"""Ask the other apps over HTTP, all at once, and take what comes in time.

Place:  settings -> [asking] -> app
Rule:   an app that is slow, down or talking nonsense costs a sentence, never the page.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

ANSWER_S_MAX = 3.0
ANSWER_BYTES_MAX = 256 * 1024
CHUNK_BYTES = 16 * 1024
ITEMS_MAX = 20
TEXT_CHARS_MAX = 400
ASKED_AT_ONCE_MAX = 4
"""Questions one app may hold at a time; a stuck app cannot take the threads of the others."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something an app tells of; `url` is a path of this site."""

    title: str
    url: str
    snippet: str = ""
    state: str = ""
    by: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """What an app counted last night: over the last `days`, and when."""

    days: int
    open: int
    opened: int
    closed: int
    said: int
    at: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What an app said; `trouble` says why it said nothing, empty when it did."""

    items: tuple[Item, ...] = ()
    summary: str = ""
    new: str = ""
    counted: Counted | None = None
    trouble: str = ""


@dataclass(slots=True)
class _Kept:
    until_s: float = 0.0
    answers: dict[str, Answer] = field(default_factory=dict)


class Closed(HTTPException):
    """The app asks for a login or a permission that this page does not have."""


class Asking:
    """Asks apps at `site_url`; `apis` holds the path of each app's JSON by name.

    With `token` it asks as the service of that name: what one sees here does not depend on who
    looks, so the site lets in only those who may read it all.
    """

    def __init__(self, site_url: str, apis: Mapping[str, str], token: str = "") -> None:
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._site = urlsplit(site_url)
        self._apis = dict(apis)
        self._places = {name: threading.BoundedSemaphore(ASKED_AT_ONCE_MAX) for name in apis}
        self._pool = ThreadPoolExecutor(ASKED_AT_ONCE_MAX * max(1, len(apis)), "asking")

    def all(self, verb: str, query: Mapping[str, str] | None = None) -> dict[str, Answer]:
        """Return every app's answer by name, within `ANSWER_S_MAX` seconds."""
        deadline_s = time.monotonic() + ANSWER_S_MAX
        asked: dict[str, Future[Answer]] = {}
        for name, api in self._apis.items():
            target = f"{api}/{verb}" + (f"?{urlencode(query)}" if query else "")
            asked[name] = self._pool.submit(self._one, name, target, deadline_s)
        wait(asked.values(), timeout=ANSWER_S_MAX)
        late = Answer(trouble="did not answer in time")
        return {name: future.result() if future.done() else late for name, future in asked.items()}

    def _one(self, name: str, target: str, deadline_s: float) -> Answer:
        place = self._places[name]
        if not place.acquire(blocking=False):
            return Answer(trouble="is busy")
        try:
            return read_answer(json.loads(self._get(target, deadline_s)))
        except Closed:
            return Answer(trouble="is closed to this page")
        except (OSError, HTTPException):
            return Answer(trouble="cannot be reached")
        except ValueError:
            return Answer(trouble="gave an answer nobody could read")
        finally:
            place.release()

    def _get(self, target: str, deadline_s: float) -> bytes:
        kind = HTTPSConnection if self._site.scheme == "https" else HTTPConnection
        left_s = max(0.05, deadline_s - time.monotonic())
        connection = kind(self._site.hostname or "127.0.0.1", self._site.port, timeout=left_s)
        try:
            connection.request("GET", target, headers=self._headers)
            answer = connection.getresponse()
            if answer.status in {401, 403}:
                raise Closed(target)
            if answer.status != 200:
                raise HTTPException(f"{target} answered {answer.status}")
            body = bytearray()
            while chunk := answer.read1(CHUNK_BYTES):
                body += chunk
                if len(body) > ANSWER_BYTES_MAX or time.monotonic() > deadline_s:
                    raise HTTPException(f"{target} is too long or too slow")
            return bytes(body)
        finally:
            connection.close()


class News:
    """The newest of every app, asked at most once every `KEPT_S` seconds."""

    KEPT_S = 2.0

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._kept = _Kept()
        self._lock = threading.Lock()

    def newest(self) -> dict[str, Answer]:
        """Return what each app tells of itself."""
        with self._lock:
            if time.monotonic() >= self._kept.until_s:
                answers = self._asking.all("recent")
                self._kept = _Kept(time.monotonic() + self.KEPT_S, answers)
            return self._kept.answers


def read_answer(document: Any) -> Answer:
    """Return a checked answer; raise ValueError for another shape."""
    if not isinstance(document, dict) or not isinstance(document.get("items"), Sequence):
        raise ValueError("an answer is an object with items")  # noqa: TRY004 - one error for all
    items = tuple(_item(raw) for raw in document["items"][:ITEMS_MAX])
    counted = _counted(document.get("counted"))
    return Answer(items, _text(document, "summary"), _path(document, "new"), counted)


def _counted(raw: Any) -> Counted | None:
    if not isinstance(raw, dict):
        return None
    numbers = {name: raw.get(name) for name in ("days", "open", "opened", "closed", "said")}
    if not all(isinstance(number, int) for number in numbers.values()):
        return None
    return Counted(**numbers, at=_text(raw, "at"))


def _item(raw: Any) -> Item:
    if not isinstance(raw, dict) or not _path(raw, "url"):
        raise ValueError("an item is an object with a url of this site")
    told = {name: _text(raw, name) for name in ("title", "snippet", "state", "by", "at")}
    return Item(url=_path(raw, "url"), **told)


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name, "")
    return value[:TEXT_CHARS_MAX] if isinstance(value, str) else ""


def _path(raw: Mapping[str, Any], name: str) -> str:
    """Return a path of this site; a link to anywhere else is dropped."""
    value = raw.get(name, "")
    inside = isinstance(value, str) and value.startswith("/") and value[1:2] not in {"/", "\\"}
    return value if inside else ""
