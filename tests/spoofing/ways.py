"""Ways in which a client might try to be somebody: raw requests, each with the name of its trick.

Place:  [ways] -> test_spoofing
Rule:   the list only grows; every request comes from nobody, claims to be root, and ends its
        connection.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import NamedTuple

from mergepoint_testkit.spoofing import IDENTITY, spellings

CLAIM = "root"
SESSION = "mergepoint-session"
REFRESH = "mergepoint-refresh"


class Way(NamedTuple):
    """A trick by name, and what goes over the wire."""

    name: str
    raw: bytes


def request(*lines: str, method: str = "GET", target: str = "/", body: bytes = b"") -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *lines, "", ""]
    return "\r\n".join(head).encode("utf-8") + body


def header_ways() -> Iterator[Way]:
    for name in IDENTITY:
        for spelling in spellings(name):
            yield Way(f"header {spelling}", request(f"{spelling}: {CLAIM}"))


def line_ways() -> Iterator[Way]:
    """Lines that one parser reads as a header of ours and another does not."""
    for name in ("Remote-User", "Mergepoint-Identity"):
        forms = {
            "space before colon": f"{name} : {CLAIM}",
            "tab before colon": f"{name}\t: {CLAIM}",
            "leading space": f"X-A: b\r\n {name}: {CLAIM}",
            "leading tab": f"X-A: b\r\n\t{name}: {CLAIM}",
            "bare line feed": f"X-A: b\n{name}: {CLAIM}",
            "bare carriage return": f"X-A: b\r{name}: {CLAIM}",
            "null before": f"\0{name}: {CLAIM}",
            "null inside": f"{name[:3]}\0{name[3:]}: {CLAIM}",
            "twice": f"{name}: {CLAIM}\r\n{name}: {CLAIM}",
            "twice in two cases": f"{name}: {CLAIM}\r\n{name.upper()}: {CLAIM}",
            "dot for hyphen": f"{name.replace('-', '.')}: {CLAIM}",
            "space for hyphen": f"{name.replace('-', ' ')}: {CLAIM}",
            "HTTP_ in front": f"HTTP_{name.upper().replace('-', '_')}: {CLAIM}",
            "HTTP- in front": f"HTTP-{name}: {CLAIM}",
            "colon in front": f":{name}: {CLAIM}",
            "empty": f"{name}:",
            "latin letter": f"{name.replace('e', 'é', 1)}: {CLAIM}",
            "full-width": f"{name.replace('R', chr(0xFF32)).replace('M', chr(0xFF2D))}: {CLAIM}",
            "named by Connection": f"Connection: {name}\r\n{name}: {CLAIM}",
            "named by Keep-Alive": f"Keep-Alive: {name}\r\n{name}: {CLAIM}",
            "in Proxy-Authorization": f"Proxy-Authorization: {name} {CLAIM}",
        }
        for form, line in forms.items():
            yield Way(f"line {name}, {form}", request(line))
    for name in ("Mergepoint-Identity", "Remote-User", "Cookie", "X-Request-Id"):
        yield Way(f"Connection takes {name}", request(f"Connection: close, {name}"))


def body_ways() -> Iterator[Way]:
    """Names that come after the head."""
    chunked = ("Transfer-Encoding: chunked", "Content-Type: text/plain")
    for name in ("Remote-User", "Mergepoint-Identity", "Remote_User", "Authorization", "Cookie"):
        trailer = f"2\r\nok\r\n0\r\n{name}: {CLAIM}\r\n\r\n".encode()
        yield Way(f"trailer {name}", request(*chunked, method="POST", body=trailer))
        announced = request(*chunked, f"Trailer: {name}", method="POST", body=trailer)
        yield Way(f"announced trailer {name}", announced)
        extension = f"2;{name}={CLAIM}\r\nok\r\n0\r\n\r\n".encode()
        yield Way(f"chunk extension {name}", request(*chunked, method="POST", body=extension))
        form = f"{name}={CLAIM}".encode()
        typed = ("Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}")
        yield Way(f"form field {name}", request(*typed, method="POST", body=form))


def target_ways() -> Iterator[Way]:
    names = ("REMOTE_USER", "Remote-User", "mergepoint.identity", "Mergepoint-Identity", "user")
    for name in names:
        yield Way(f"query {name}", request(target=f"/?{name}={CLAIM}"))
        yield Way(f"path parameter {name}", request(target=f"/;{name}={CLAIM}"))
        yield Way(f"line break in the query, {name}", request(target=f"/?a%0d%0a{name}:%20{CLAIM}"))
    yield Way("user in the target", request(target=f"http://{CLAIM}@127.0.0.1/"))
    yield Way("user in Host", request(f"Host: {CLAIM}@127.0.0.1"))


def cookie_ways() -> Iterator[Way]:
    for name in (SESSION, REFRESH, f"__Host-{SESSION}", f"__Host-{REFRESH}"):
        values = {
            "a name": CLAIM,
            "empty": "",
            "quoted": f'"{CLAIM}"',
            "JSON": '{"user":"root"}',
            "three empty parts": "..",
            "long": "a" * 5000,
            "percent": f"%22{CLAIM}%22",
        }
        for form, value in values.items():
            yield Way(f"cookie {name}, {form}", request(f"Cookie: {name}={value}"))
        for form, text in {
            "upper case": f"{name.upper()}={CLAIM}",
            "no name": f"={name}={CLAIM}",
            "space before": f"a=b;  {name} ={CLAIM}",
            "twice": f"{name}={CLAIM}; {name}={CLAIM}",
            "comma": f"a=b,{name}={CLAIM}",
            "version": f"$Version=1; {name}={CLAIM}",
            "in quotes": f'a="; {name}={CLAIM}"',
        }.items():
            yield Way(f"cookie {name}, {form}", request(f"Cookie: {text}"))
        yield Way(
            f"cookie {name}, in two fields", request(f"Cookie: {name}=a", f"Cookie: {name}=b")
        )


def credential_ways() -> Iterator[Way]:
    def basic(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    token = "mpt_AAAAAAAAAAAA_" + "A" * 43
    for form, value in {
        "Basic, no password": basic(f"{CLAIM}:"),
        "Basic, a wrong one": basic(f"{CLAIM}:secret"),
        "Basic, an unknown token": basic(f"{CLAIM}:{token}"),
        "Basic, no colon": basic(CLAIM),
        "Basic, a null": basic(f"{CLAIM}\0:{token}"),
        "Basic, a line break": basic(f"{CLAIM}\r\nRemote-User: root:{token}"),
        "Basic, not base64": "Basic ????",
        "Basic, empty": "Basic",
        "basic in lower case": basic(f"{CLAIM}:{token}").replace("Basic", "basic"),
        "Bearer, an unknown token": f"Bearer {token}",
        "Bearer, a short token": "Bearer mpt_",
        "Bearer, a name": f"Bearer {CLAIM}",
        "Bearer, two tokens": f"Bearer {token} {token}",
        "Digest": f'Digest username="{CLAIM}"',
        "Negotiate": f"Negotiate {CLAIM}",
        "Mergepoint": f"Mergepoint {CLAIM}",
    }.items():
        yield Way(f"Authorization {form}", request(f"Authorization: {value}"))
    both = request(f"Authorization: Bearer {token}", f"Authorization: {basic(CLAIM + ':a')}")
    yield Way("Authorization twice", both)


def ways() -> list[Way]:
    """Return every trick."""
    return [
        *header_ways(),
        *line_ways(),
        *body_ways(),
        *target_ways(),
        *cookie_ways(),
        *credential_ways(),
    ]
