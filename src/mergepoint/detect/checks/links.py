"""Links that start at the root of the host and so leave the app's mount.

Place:  detect.preflight -> [detect.checks.links]
Rule:   pure; a link into another app of the site is meant, any other absolute one is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from mergepoint.detect.candidate import Finding
from mergepoint.detect.checks.mounts import within
from mergepoint.detect.subject import SCRIPTS, TEMPLATES, Hit, Subject
from mergepoint.manifest.site import PrefixMode

SHOWN_MAX = 3
"""Places named in one finding; the rest is counted."""

IN_HTML = re.compile(
    r"""\b(?:href|src|action|formaction|hx-(?:get|post|put|delete))\s*=\s*\\?["'](/(?![/"'])[^"'\\\s{}]*|/)(?=\\?["'{])"""
)
IN_SCRIPT = re.compile(
    r"""(?:\bfetch|\bEventSource|\bimport|axios\.\w+|\$\.(?:get|post|ajax))\(\s*["'`](/(?!/)[^"'`\s]*)"""
    r"""|\blocation(?:\.href)?\s*=\s*["'`](/(?!/)[^"'`\s]*)"""
)
IN_PYTHON = re.compile(
    r"""\b(?:redirect|HTTPFound|HTTPSeeOther|RedirectResponse|HttpResponseRedirect)\(\s*(?:location\s*=\s*|url\s*=\s*)?["'](/(?!/)[^"'\s]*)"""
)
REQUEST_PATH = re.compile(r"""(?:href|action)\s*=\s*["']?\{\{\s*(request\.path)\b""")

FIXES: Mapping[str, str] = {
    "Flask": "write url_for('view') instead",
    "Quart": "write url_for('view') instead",
    "Django": "write {% url 'name' %} in templates, reverse('name') or redirect('name') in views",
    "Bottle": "write request.script_name + 'path'",
    "Pyramid": "write request.route_path('name')",
    "FastAPI": "write request.url_for('name'), or request.scope['root_path'] + '/path'",
    "Starlette": "write request.url_for('name'), or request.scope['root_path'] + '/path'",
    "WSGI": "put environ['SCRIPT_NAME'] in front",
    "ASGI": "put scope['root_path'] in front",
}
OTHERWISE = "write relative links, or put the header X-Forwarded-Prefix in front"


def link_findings(subject: Subject, others: Sequence[Subject]) -> Iterator[Finding]:
    """Report hard-coded absolute links and redirects that miss the mount."""
    if not subject.mount or subject.prefix is PrefixMode.KEEP:
        return
    fix = FIXES.get(subject.framework, OTHERWISE)
    groups = (
        ("links", IN_HTML, (*TEMPLATES, ".py"), fix),
        ("requests from scripts", IN_SCRIPT, (*TEMPLATES, *SCRIPTS), _script_fix(subject)),
    )
    for noun, pattern, suffixes, remedy in groups:
        yield from _report(subject, others, noun, pattern, suffixes, remedy)
    if subject.prefix is PrefixMode.HOST:
        yield from _report(subject, others, "redirects", IN_PYTHON, (".py",), fix)
        hits = list(subject.find(REQUEST_PATH, TEMPLATES))
        if hits:
            yield Finding(
                "warning",
                "request_path",
                f"{len(hits)} links are built from request.path, which lacks the mount",
                "write request.script_root + request.path, or with Django request.get_full_path",
                hits[0].where,
            )


def _report(
    subject: Subject,
    others: Sequence[Subject],
    noun: str,
    pattern: re.Pattern[str],
    suffixes: tuple[str, ...],
    fix: str,
) -> Iterator[Finding]:
    meant = [path for other in others for _, path in other.mounts if path != "/"]
    meant.append(subject.mount)
    hits = [h for h in subject.find(pattern, suffixes) if not any(within(h.text, m) for m in meant)]
    if hits:
        yield Finding(
            "warning",
            "absolute_" + noun.partition(" ")[0],
            f"{len(hits)} {noun if len(hits) > 1 else _one(noun)} {_start(len(hits))} at the root "
            f"of the host and will miss {subject.mount}: {_places(hits)}",
            fix,
            hits[0].where,
        )


def _one(noun: str) -> str:
    first, _, rest = noun.partition(" ")
    return f"{first.removesuffix('s')} {rest}".strip()


def _start(count: int) -> str:
    return "start" if count > 1 else "starts"


def _places(hits: Sequence[Hit]) -> str:
    shown = ", ".join(f"{hit.text} ({hit.where})" for hit in hits[:SHOWN_MAX])
    more = len(hits) - SHOWN_MAX
    return f"{shown} and {more} more" if more > 0 else shown


def _script_fix(subject: Subject) -> str:
    if subject.framework in {"Flask", "Quart", "Django"}:
        return 'let the page give the script its base: <body data-base="{{ request.script_root }}">'
    return "write paths relative to the page, or take the base from the page"
