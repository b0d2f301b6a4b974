"""What `mergepoint add` found and wrote, for people and as a document.

Place:  cli.commands.add -> [cli.add_view] -> stdout, stderr
Rule:   the block is data, everything else is talk.
"""

from __future__ import annotations

from typing import Any

from mergepoint.cli.adding import Added
from mergepoint.cli.control import is_running
from mergepoint.cli.output import data, paint, say, short
from mergepoint.detect.candidate import Finding

SIGNS = {"error": ("!", "bad"), "warning": ("!", "warn"), "note": ("-", "dim")}
OTHERS_MAX = 8


def show_added(added: Added) -> None:
    """Print what was found, the report, the block, and what to type next."""
    candidate = added.entry.candidate
    framework = paint(candidate.framework, "bold", err=True)
    say(f"Found {framework}: {candidate.what()}  ({candidate.where})")
    if added.others:
        say("Also there (choose with --app):")
        for other in added.others[:OTHERS_MAX]:
            say(f"  {other.what():<32} {other.framework:<12} {other.where}")
    if added.findings:
        say()
        for finding in added.findings:
            _say_finding(finding)
    say()
    if not added.line:
        say(f"Would be appended to {short(added.manifest)}:")
    for line in added.block.splitlines():
        data(line)
    if added.line:
        place = f"{short(added.manifest)}:{added.line}"
        say(f"\nAdded {added.entry.name} at {added.entry.at} ({place})")
        say(f"Next: mergepoint {'reload' if is_running(added.run_dir) else 'run'}")


def _say_finding(finding: Finding) -> None:
    sign, style = SIGNS[finding.severity]
    told = not finding.where or finding.where in finding.message
    where = "" if told else f"{finding.where}  "
    say(f"  {paint(sign, style, err=True)} {where}{finding.message}")
    say(f"    fix: {finding.fix}")


def as_document(added: Added) -> dict[str, Any]:
    """Return the content of the `--json` document."""
    candidate = added.entry.candidate
    return {
        "app": added.entry.name,
        "at": added.entry.at,
        "framework": candidate.framework,
        "serve": str(candidate.serve),
        "target": candidate.what(),
        "where": candidate.where,
        "others": [
            {"target": c.what(), "framework": c.framework, "where": c.where} for c in added.others
        ],
        "findings": [finding.as_dict() for finding in added.findings],
        "block": added.block,
        "manifest": str(added.manifest),
        "line": added.line,
        "written": bool(added.line),
    }
