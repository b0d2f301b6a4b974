"""What an edge and the hub decide about cached answers: the rules I1 to I12, as pure functions.

Place:  cache_model.edge, cache_model.hub, cache_model.golden -> [cache_model.decisions]
Rule:   no state, no time of its own. A rule can be switched off by its name (`off`): the model then
        has to find out what it was for.

Times are numbers of one monotonic clock, in seconds or in a model's ticks; the unit does not matter
here. Decisions are returned as words, which are the ones the edge counts and logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

Off = frozenset[str]
NONE_OFF: Off = frozenset()
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Mark:
    """How far an edge was with one source when a request was forwarded."""

    generation: int
    round: int


@dataclass(slots=True)
class Source:
    """What one edge knows about one source."""

    connection: int = 0
    """The connection to the hub; 0 while there is none. Numbers are never used twice."""
    epoch: str | None = None
    cursor: int = 0
    at: int = 0
    """The `at` of what was applied last on this connection."""
    generation: int = 0
    """Grows with each flush."""
    round: int = 0
    """Grows with each list of tags that is applied; never set back, whatever the hub does."""
    forgotten: int = 0
    """What happened up to this round is no longer in `last`."""
    lease_end: float = NEVER
    last: dict[str, int] = field(default_factory=dict)
    """The round in which a tag was invalidated last."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an edge knew of the source when it asked; None where nobody asked (an event)."""

    connection: int
    generation: int
    epoch: str | None


@dataclass(frozen=True, slots=True)
class Pulled:
    """What the hub says about one source."""

    epoch: str
    cursor: int
    tags: frozenset[str]
    flush: bool
    lease_left: float
    at: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What an edge knows about an entry when somebody asks for it."""

    tags: tuple[str, ...]
    expires: float
    stale_for: float = 0.0
    invalidated_at: float | None = None
    """An edge may drop what is invalidated at once; kept, it is never served (I11)."""


# --- tags -----------------------------------------------------------------------------------------


def source_of(tag: str) -> str:
    """Return the name of the source a tag belongs to."""
    return tag.partition("/")[0]


def whole_table(tag: str) -> str | None:
    """Return the tag that stands for every tag of this one's table; None for a table's own tag."""
    table, colon, _ = tag.partition(":")
    return f"{table}:*" if colon else None


def struck(tag: str, invalidated: Iterable[str]) -> bool:
    """Tell whether an entry with this tag goes when these are invalidated."""
    every = whole_table(tag)
    return any(one in (tag, every) for one in invalidated)


def last_round(tag: str, source: Source) -> int:
    """Return the round in which this tag was invalidated last; 0 when that is not known."""
    every = whole_table(tag)
    of_table = source.last.get(every, 0) if every else 0
    return max(source.last.get(tag, 0), of_table)


# --- I1, I2: may an answer be kept, may it be given to somebody who only waited -------------------


def lease_is_over(source: Source, now: float) -> bool:
    """Tell whether nothing may be served that depends on this source (I4)."""
    return now > source.lease_end


Breach = Callable[[tuple[str, ...], Mark, Source, float], bool]

BREACHES: tuple[tuple[str, str, Breach], ...] = (
    ("lease", "lease-over", lambda _tags, _mark, source, now: lease_is_over(source, now)),
    (
        "generation",
        "flushed",
        lambda _tags, mark, source, _now: mark.generation != source.generation,
    ),
    ("kept", "forgotten", lambda _tags, mark, source, _now: mark.round < source.forgotten),
    (
        "tags",
        "fill-raced",
        lambda tags, mark, source, _now: any(last_round(t, source) > mark.round for t in tags),
    ),
)


def _named(rule: str) -> tuple[tuple[str, str, Breach], ...]:
    return tuple(
        ("I4" if part == "lease" else f"{rule}-{part}", reason, breach)
        for part, reason, breach in BREACHES
    )


STORE = _named("I1")
DELIVER = _named("I2")


def store(
    tags: tuple[str, ...] | None,
    marks: Mapping[str, Mark],
    sources: Mapping[str, Source],
    now: float,
    off: Off = NONE_OFF,
) -> str:
    """Decide about an answer that came from the app: `stored`, or why it is not kept (I1, I12)."""
    return _refusal(STORE, tags, marks, sources, now, off) or "stored"


def deliver(
    tags: tuple[str, ...] | None,
    marks: Mapping[str, Mark],
    sources: Mapping[str, Source],
    now: float,
    off: Off = NONE_OFF,
) -> str:
    """Decide whether somebody who joined the flight gets its answer: `deliver`, or why not (I2)."""
    return _refusal(DELIVER, tags, marks, sources, now, off) or "deliver"


def _refusal(
    rules: tuple[tuple[str, str, Breach], ...],
    tags: tuple[str, ...] | None,
    marks: Mapping[str, Mark],
    sources: Mapping[str, Source],
    now: float,
    off: Off,
) -> str | None:
    if tags is None:
        return "unknown-tags"
    for name in sorted({source_of(tag) for tag in tags}):
        if name not in sources or name not in marks:
            return "unknown-source"
        own = tuple(tag for tag in tags if source_of(tag) == name)
        for rule, reason, breach in rules:
            if rule not in off and breach(own, marks[name], sources[name], now):
                return reason
    return None


# --- serving --------------------------------------------------------------------------------------


def prepare(
    sources: Mapping[str, Source],
    now: float,
    *,
    linear: bool = False,
    wrote: bool = False,
    pull: str = "none",
    off: Off = NONE_OFF,
) -> str:
    """Decide before the store is looked at.

    `go` on; ask for a `pull` of one's own; `wait` for any pull that is asked now or was asked
    before; or `bypass` the store. `pull` says what became of the pull this request asked for:
    `none`, `done` or `failed`. Of a client that `wrote` within the lease, the cookie tells.
    """
    if pull == "failed":
        return "bypass"
    lapsed = "I4" not in off and any(lease_is_over(one, now) for one in sources.values())
    if pull == "done":
        return "bypass" if lapsed else "go"
    asks = linear and "linear" not in off
    if asks or (wrote and "session" not in off):
        return "pull"
    return "wait" if lapsed else "go"


def serve(
    entry: Stored | None, sources: Mapping[str, Source], now: float, off: Off = NONE_OFF
) -> str:
    """Decide about a stored answer: `hit`, `stale` (serve it, and refresh), `miss` or `bypass`."""
    if entry is None:
        return "miss"
    used = {source_of(tag) for tag in entry.tags}
    if "I4" not in off and any(
        name not in sources or lease_is_over(sources[name], now) for name in used
    ):
        return "bypass"
    expires = entry.expires
    if entry.invalidated_at is not None:
        if "I11" not in off:
            return "miss"
        expires = min(expires, entry.invalidated_at)
    if now < expires:
        return "hit"
    return "stale" if now < expires + entry.stale_for else "miss"


def join(marks: Mapping[str, Mark], sources: Mapping[str, Source]) -> str:
    """Decide about a flight that is already in the air: `join` it, or start one's `own`."""
    for name, source in sources.items():
        if name not in marks or marks[name].generation != source.generation:
            return "own"
    return "join"


# --- I6, I8: what to do with what the hub says ----------------------------------------------------


def receive(
    asked: Asked | None, connection: int, pulled: Pulled, source: Source, off: Off = NONE_OFF
) -> str:
    """Decide about an answer or an event: `apply`, `flush`, or why it is dropped.

    `connection` is the one it arrived on.
    """
    if "I6-moment" not in off:
        if connection != source.connection:
            return "other-connection"
        if asked and (asked.generation != source.generation or asked.epoch != source.epoch):
            return "other-moment"
    if "I6-at" not in off and pulled.at <= source.at:
        return "old"
    changed = "I8" not in off and pulled.epoch != source.epoch
    return "flush" if pulled.flush or changed else "apply"


def lease_end(sent: float, lease: float, lease_left: float) -> float:
    """Return when the lease ends that an answer to a request sent at `sent` gives (I4)."""
    return sent + min(lease, lease_left)


# --- I3: when a writer hears ----------------------------------------------------------------------


def release(
    arrived: float,
    now: float,
    lease: float,
    needed: tuple[int, int] | None,
    source: Source,
) -> str:
    """Decide about a writer's answer: `applied`, `lease-passed`, or `hold` it.

    `needed` is the connection and the `at` of the barrier's answer, None while there is none.
    """
    if needed and needed[0] == source.connection and source.at >= needed[1]:
        return "applied"
    return "lease-passed" if now > arrived + lease else "hold"


def present(connected: bool, ended: float, now: float, lease: float, off: Off = NONE_OFF) -> bool:
    """Tell whether a barrier has to wait for an edge: it may still serve."""
    return connected or ("I3-present" not in off and now <= ended + lease)


def barrier(
    waits: int, arrived: float, started: float, now: float, lease: float, off: Off = NONE_OFF
) -> str:
    """Decide about a barrier in the hub, begun at `started`: `answer` it or `wait`.

    `waits` counts the edges present that have not applied it.
    """
    if now > arrived + lease:
        return "answer"
    young = "I3-young" not in off and now <= started + lease
    return "wait" if waits or young else "answer"
