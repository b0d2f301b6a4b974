"""An explanation for people and as a document.

Place:  cli.commands.explain -> [cli.explain_view] -> stdout
Rule:   shows everything `edge.routes.explain` found, and adds nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mergepoint.cli.output import data, paint
from mergepoint.cli.targets import serves
from mergepoint.edge.access import Judged
from mergepoint.edge.routes import Considered, Explanation
from mergepoint.manifest.site import Site

LABEL_COLUMNS = 12


def show_explanation(found: Explanation, site: Site) -> None:
    """Print the explanation, most wanted first."""
    query = f"?{found.query}" if found.query else ""
    data(paint(f"{found.method} {found.scheme}://{found.host}{found.path}{query}", "bold"))
    data(_line("answer", found.answer))
    if found.judged is not None:
        _show_judged(found.judged)
    if found.route is not None:
        app = site.apps[found.route.app]
        data(_line("app", f"{paint(app.name, 'ok')}  {app.kind} {serves(app)}  ({app.origin})"))
        data(_line("mount", f"{found.route.mount}  ({found.route.origin})"))
        data(_line("prefix", f"{app.prefix}  {_prefix_words(found)}{_at(found, 'prefix')}"))
    if found.worker_path:
        data(_line("worker path", found.worker_path))
        data(_line("SCRIPT_NAME", found.script_name or "(empty)"))
        data(_line("PATH_INFO", found.path_info or "(empty)"))
    if found.balance:
        data(_line("process", f"{found.balance}{_at(found, 'affinity')}"))
    _block("routes tried", (_considered(rule) for rule in found.considered))
    _block("headers the worker reads", _pairs(found.headers))
    _block("headers that do not pass", _pairs(found.removed))
    _block("limits", _pairs(found.limits))
    _block("written at", (f"{key}  {origin}" for key, origin in found.origins.items()))


def _show_judged(judged: Judged) -> None:
    """Print who asks, what was asked of them, where that stands, and what they have."""
    style = "ok" if judged.verdict == "allowed" else "bad"
    data(_line("who", judged.user or "nobody (try --as NAME)"))
    data(_line("verdict", paint(judged.verdict.replace("_", " "), style)))
    data(_line("asked", f"{' or '.join(judged.asked)}  by {judged.by}  ({judged.origin})"))
    if judged.user:
        data(_line("roles", ", ".join(judged.roles) or "none"))
        data(_line("groups", ", ".join(judged.groups) or "none"))
        data(_line("permissions", ", ".join(judged.permissions) or "none"))
    if judged.origin_proof:
        data(_line("origin", judged.origin_proof))


def as_document(found: Explanation) -> dict[str, Any]:
    """Return the content of the `--json` document."""
    return {
        "method": found.method,
        "scheme": found.scheme,
        "host": found.host,
        "path": found.path,
        "query": found.query,
        "app": found.route.app if found.route else None,
        "mount": found.route.mount if found.route else None,
        "answer": found.answer,
        "considered": [
            {
                "mount": rule.route.mount,
                "app": rule.route.app,
                "origin": str(rule.route.origin),
                "taken": rule.taken,
                "reason": rule.reason,
            }
            for rule in found.considered
        ],
        "worker_path": found.worker_path,
        "script_name": found.script_name,
        "path_info": found.path_info,
        "headers": dict(found.headers),
        "removed": dict(found.removed),
        "limits": dict(found.limits),
        "balance": found.balance,
        "origins": {key: str(origin) for key, origin in found.origins.items()},
        "access": _judged_document(found.judged) if found.judged else None,
    }


def _judged_document(judged: Judged) -> dict[str, Any]:
    return {
        "user": judged.user or None,
        "verdict": judged.verdict,
        "asked": list(judged.asked),
        "by": judged.by,
        "origin": str(judged.origin),
        "path": judged.path,
        "roles": list(judged.roles),
        "groups": list(judged.groups),
        "permissions": list(judged.permissions),
        "answer": judged.answer,
        "origin_proof": judged.origin_proof,
        "headers": None if judged.headers is None else dict(judged.headers),
    }


def _line(label: str, text: str) -> str:
    return f"  {label:<{LABEL_COLUMNS}} {text}"


def _prefix_words(found: Explanation) -> str:
    if found.script_name:
        return "the worker tells the app its mount"
    if found.worker_path and found.worker_path != found.path:
        return "the edge removes the mount and repairs the answer"
    return "the path goes through as it is"


def _at(found: Explanation, key: str) -> str:
    origin = found.origins.get(key)
    return f"  ({origin})" if origin else ""


def _considered(rule: Considered) -> str:
    sign = paint("->", "ok") if rule.taken else "  "
    return (
        f"{sign} {rule.route.mount:<20} {rule.route.app:<14} {rule.reason}  ({rule.route.origin})"
    )


def _pairs(pairs: Mapping[str, str]) -> Iterable[str]:
    return (f"{name}: {value}" for name, value in pairs.items())


def _block(title: str, lines: Iterable[str]) -> None:
    rows = list(lines)
    if rows:
        data(f"\n  {paint(title, 'dim')}")
        for row in rows:
            data(f"    {row}")
