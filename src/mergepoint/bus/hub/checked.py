"""Whether the file is whole, and says of itself what is true.

Place:  bus.hub.store -> [bus.hub.checked]
Rule:   reads alone; everything that is wrong is said in words, nothing is repaired.
"""

from __future__ import annotations

from mergepoint.bus.hub.parts import Parts

FAULTS_MAX = 100

_NONE_MAY_BE_THERE = {
    "a lease without its message": "SELECT seq FROM leases EXCEPT SELECT seq FROM messages",
    "ready without its message": "SELECT seq FROM ready EXCEPT SELECT seq FROM messages",
    "delayed without its message": "SELECT seq FROM delayed EXCEPT SELECT seq FROM messages",
    "a key without its message": "SELECT seq FROM keyed EXCEPT SELECT seq FROM messages",
    "a return without its message": "SELECT seq FROM trouble EXCEPT SELECT seq FROM messages",
    "ready and leased": "SELECT seq FROM ready INTERSECT SELECT seq FROM leases",
    "ready and delayed": "SELECT seq FROM ready INTERSECT SELECT seq FROM delayed",
    "delayed and leased": "SELECT seq FROM delayed INTERSECT SELECT seq FROM leases",
    "in no state": (
        "SELECT seq FROM messages EXCEPT SELECT seq FROM ready EXCEPT SELECT seq FROM delayed"
        " EXCEPT SELECT seq FROM leases EXCEPT SELECT k.seq FROM keyed k WHERE k.seq >"
        " (SELECT min(f.seq) FROM keyed f WHERE f.queue = k.queue AND f.key = k.key)"
    ),
}

_COUNTS = """
    SELECT q.name, q.delayed, q.leased, q.dead, q.waiting + q.delayed + q.leased, q.bytes,
        (SELECT count(*) FROM delayed d WHERE d.queue = q.queue),
        coalesce(l.leased, 0), (SELECT count(*) FROM dead d WHERE d.queue = q.queue),
        coalesce(m.messages, 0), coalesce(m.bytes, 0)
    FROM queues q
    LEFT JOIN (SELECT queue, count(*) AS messages,
        sum(length(attributes) + length(data)) AS bytes
        FROM messages GROUP BY queue) m USING (queue)
    LEFT JOIN (SELECT m.queue AS queue, count(*) AS leased FROM leases JOIN messages m USING (seq)
        GROUP BY m.queue) l USING (queue)
"""
_NAMES = ("delayed", "leased", "dead", "messages", "bytes")


def faults(parts: Parts) -> list[str]:
    """Return what is wrong, in words; [] for a whole file. Takes time with its size."""
    db = parts.db
    told = [text for (text,) in db.execute(f"PRAGMA integrity_check({FAULTS_MAX})") if text != "ok"]
    for what, query in _NONE_MAY_BE_THERE.items():
        seqs = [seq for (seq,) in db.execute(f"{query} LIMIT {FAULTS_MAX}")]
        told += [f"message {seq}: {what}" for seq in seqs]
    for name, *numbers in db.execute(_COUNTS):
        kept, counted = numbers[:5], numbers[5:]
        told += [
            f"queue {name}: {what} is kept as {said} and is {is_}"
            for what, said, is_ in zip(_NAMES, kept, counted, strict=True)
            if said != is_
        ]
    on_disk = {token for (token,) in db.execute("SELECT token FROM leases")}
    in_memory = {held.token for held in parts.leases}
    told += [f"lease {token}: on one side only" for token in on_disk ^ in_memory]
    return told[:FAULTS_MAX]
