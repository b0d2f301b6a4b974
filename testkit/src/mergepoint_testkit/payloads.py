"""Requests that have smuggled, spoofed or confused some server before, each with what must happen.

Place:  [payloads] -> test_smuggling
Rule:   a payload names the trick; the recorder, not the status alone, decides whether it worked.
"""

from __future__ import annotations

from dataclasses import dataclass

HOST = b"Host: site.example\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: site.example\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Payload:
    """Bytes for the wire; `refused` means that no answer below 400 may come back."""

    name: str
    raw: bytes
    refused: bool = True


def post(headers: bytes, body: bytes, *, version: bytes = b"1.1") -> bytes:
    """Return a POST with exactly these header lines and body bytes."""
    return b"POST /echo HTTP/" + version + b"\r\n" + HOST + headers + b"\r\n" + body


ODD_CODINGS = {
    "capital": b"CHUNKED",
    "tab": b"\tchunked",
    "vertical tab": b"\x0bchunked",
    "quoted": b'"chunked"',
    "comma first": b",chunked",
    "identity": b"identity",
    "chunked twice": b"chunked, chunked",
    "chunked then gzip": b"chunked, gzip",
    "gzip then chunked": b"gzip, chunked",
    "xchunked": b"xchunked",
    "chunkedx": b"chunkedx",
    "parameter": b"chunked;q=1",
    "trailing NUL": b"chunked\x00",
    "high byte": b"chunked\xff",
}
TOLERATED = {"capital", "tab"}
"""Codings that are odd to the eye and plain to every parser."""


def _framing() -> list[Payload]:
    """Length and transfer coding that two parsers may read differently."""
    both = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"
    chunk = b"0\r\n\r\n"
    te = b"Transfer-Encoding: "
    cases = [
        Payload("length and coding", post(both, chunk + SMUGGLED)),
        Payload("coding and length", post(te + b"chunked\r\nContent-Length: 4\r\n", chunk)),
        Payload("coding in HTTP/1.0", post(te + b"chunked\r\n", chunk, version=b"1.0")),
        Payload(
            "two codings in two lines", post(te + b"chunked\r\n" + te + b"identity\r\n", chunk)
        ),
        Payload(
            "space before the colon", post(b"Transfer-Encoding : chunked\r\n", chunk + SMUGGLED)
        ),
        Payload(
            "length with space before colon", post(b"Content-Length : 4\r\n", b"abcd" + SMUGGLED)
        ),
        Payload("folded coding", post(b"Transfer-Encoding:\r\n chunked\r\n", chunk + SMUGGLED)),
        Payload("bare CR in a header", post(b"X: a\rTransfer-Encoding: chunked\r\n", chunk)),
        Payload("NUL in a header", post(b"X: a\x00b\r\n", b"")),
        Payload("header without colon", post(b"Transfer-Encoding chunked\r\n", chunk)),
        Payload("empty header name", post(b": chunked\r\n", b"")),
        Payload("first header folded", b"GET / HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n"),
    ]
    for name, value in ODD_CODINGS.items():
        refused = name not in TOLERATED
        cases.append(Payload(f"coding {name}", post(te + value + b"\r\n", chunk), refused))
    lengths = [
        b"+4",
        b"-4",
        b"4,4",
        b"4, 5",
        b"0x4",
        b"4 4",
        b"",
        b"1e1",
        b"4\x0b",
        b"\xb2",
        b"4_0",
    ]
    lengths += [b"99999999999999999999", b"18446744073709551616"]
    cases += [
        Payload(f"length {n!r}", post(b"Content-Length: " + n + b"\r\n", b"abcd" + SMUGGLED))
        for n in lengths
    ]
    two = b"Content-Length: 4\r\nContent-Length: 5\r\n"
    return [*cases, Payload("two lengths that differ", post(two, b"abcde"))]


def _chunks() -> list[Payload]:
    """Chunk lines that two parsers may read differently."""
    te = b"Transfer-Encoding: chunked\r\n"
    bodies = {
        "size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
        "size with plus": b"+3\r\nabc\r\n0\r\n\r\n",
        "negative size": b"-1\r\nabc\r\n0\r\n\r\n",
        "size overflow": b"10000000000000003\r\nabc\r\n0\r\n\r\n",
        "size with space inside": b"3 3\r\nabc\r\n0\r\n\r\n",
        "empty size": b"\r\nabc\r\n0\r\n\r\n",
        "size line ended by LF": b"3\nabc\r\n0\r\n\r\n",
        "chunk ended by LF": b"3\r\nabc\n0\r\n\r\n",
        "missing end of chunk": b"3\r\nabc0\r\n\r\n",
        "size with underscore": b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n",
        "bare CR after size": b"3\rabc\r\n0\r\n\r\n",
        "extension with LF": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    }
    return [Payload(f"chunk {name}", post(te, body)) for name, body in bodies.items()]


def _targets() -> list[Payload]:
    """Request lines and targets."""
    lines = {
        "two spaces": b"GET  / HTTP/1.1",
        "tab": b"GET\t/ HTTP/1.1",
        "no target": b"GET HTTP/1.1",
        "HTTP/1.2 typo": b"GET / HTTP/1.x",
        "HTTP/0.9": b"GET /",
        "lower case version": b"GET / http/1.1",
        "HTTP/2.0 over text": b"GET / HTTP/2.0",
        "CONNECT": b"CONNECT site.example:80 HTTP/1.1",
        "TRACE": b"TRACE / HTTP/1.1",
        "star with GET": b"GET * HTTP/1.1",
        "authority form": b"GET site.example:80 HTTP/1.1",
        "NUL in target": b"GET /\x00 HTTP/1.1",
        "high byte in method": b"G\xcbT / HTTP/1.1",
        "dot segments": b"GET /a/../../etc/passwd HTTP/1.1",
        "encoded dot segments": b"GET /%2e%2e/x HTTP/1.1",
        "encoded NUL": b"GET /%00 HTTP/1.1",
        "bad escape": b"GET /%zz HTTP/1.1",
        "backslash": b"GET /a\\..\\b HTTP/1.1",
        "foreign scheme": b"GET ftp://site.example/ HTTP/1.1",
        "absolute other host": b"GET http://other.example/ HTTP/1.1",
        "user in authority": b"GET http://me@site.example/ HTTP/1.1",
        "fragment": b"GET /#x HTTP/1.1",
    }
    return [
        Payload(f"target {name}", line + b"\r\n" + HOST + b"\r\n") for name, line in lines.items()
    ]


def _hosts() -> list[Payload]:
    """The Host header, which routes."""
    heads = {
        "missing": b"",
        "twice the same": HOST * 2,
        "twice different": HOST + b"Host: other.example\r\n",
        "empty": b"Host:\r\n",
        "with path": b"Host: site.example/x\r\n",
        "with user": b"Host: me@site.example\r\n",
        "with space": b"Host: site example\r\n",
        "with comma": b"Host: site.example, other\r\n",
        "port not a number": b"Host: site.example:8x\r\n",
        "port too large": b"Host: site.example:99999\r\n",
        "bracket open": b"Host: [::1\r\n",
        "percent": b"Host: site%2eexample\r\n",
        "with query": b"Host: a?b\r\n",
    }
    return [
        Payload(f"host {name}", b"GET / HTTP/1.1\r\n" + head + b"\r\n")
        for name, head in heads.items()
    ]


def payloads() -> list[Payload]:
    """Return every payload, each under a name of its own."""
    return [*_framing(), *_chunks(), *_targets(), *_hosts()]
