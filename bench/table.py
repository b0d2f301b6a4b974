"""One table of every saved result.

Place:  bench/results/*.json -> [table] -> bench/RESULTS.md
Rule:   every cell is shown, won or lost.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.measure import RESULTS, Result

HEAD = """# Benchmarks

Written by `make bench`. Every figure is the median of interleaved rounds (A B A B ...) in one run
on one machine; the range stands in brackets. The ratio is Mergepoint over the peer, so that above 1
is better for us whatever the unit. Absolute figures mean little on a shared machine; ratios hold
better. Cells we lose stay in.
"""


def write_table() -> Path:
    """Write RESULTS.md from the saved results and return its path."""
    parts = [HEAD]
    for path in sorted(RESULTS.glob("*.json"), key=lambda p: (len(p.stem.split("-")[0]), p.stem)):
        parts.append(section(json.loads(path.read_text())))
    page = RESULTS.parent / "RESULTS.md"
    page.write_text("\n".join(parts))
    return page


def section(saved: dict) -> str:  # type: ignore[type-arg]
    """Return one result as Markdown."""
    machine = saved.pop("on")
    result = Result(**saved)
    ratios = result.ratios() if "Mergepoint" in result.rounds else {}
    lines = [f"## {result.name}", "", result.question + ".", ""]
    lines += [f"| | {result.unit} | Mergepoint is | asked for |", "|---|---|---|---|"]
    for server, values in result.rounds.items():
        spread = f"{result.median(server):,.4g} [{min(values):,.4g} to {max(values):,.4g}]"
        ratio = f"{ratios[server]:.2f}x" if server in ratios else "-"
        asked = f">= {result.reach[server]:g}x" if server in result.reach else ""
        lines.append(f"| {server} | {spread} | {ratio} | {asked} |")
    for label, cells in result.details.items():
        shown = (
            ", ".join(
                f"{k} {v:,.4g}" if isinstance(v, float | int) else f"{k} {v}"
                for k, v in cells.items()
            )
            if isinstance(cells, dict)
            else str(cells)
        )
        lines += ["", f"{label}: {shown}"]
    versions = "; ".join(f"{name}: {version}" for name, version in result.versions.items())
    lines += [
        "",
        f"Versions: {versions}. Machine: {machine['cpus']} CPUs, Linux {machine['kernel']}.",
        "",
    ]
    return "\n".join(lines)
