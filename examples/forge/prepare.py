"""Make everything the forge needs before its first request: ``python examples/forge/prepare.py``.

Place:  make demo -> [prepare] -> each app's own prepare
Rule:   idempotent; when nothing is to be done it only reads one small file.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

FORGE = Path(__file__).resolve().parent
CHECKOUT = FORGE.parents[1]
USUAL = FORGE / ".mergepoint" / "forge"
WIKI_VENV = CHECKOUT / ".tools" / "venvs" / "forge-wiki"
WIKI_PYTHON = WIKI_VENV / "bin" / "python"
# What the outcome depends on: when one of these changes, every app is asked again.
SOURCES = (
    "*/*/prepare.py",
    "wiki/pages/management/commands/*.py",
    "*/sample.toml",
    "wiki/pages/migrations/*.py",
    "*/*/models.py",
)


def main() -> int:
    """Prepare the apps whose outcome may have changed; return the exit code."""
    options = _options()
    data = Path(os.environ.get("FORGE_DATA", USUAL)).resolve()
    stamp, wanted = data / "prepared", digest()
    if stamp.is_file() and stamp.read_text() == wanted and not options.force:
        return 0
    if not options.wiki_python.exists():
        print(
            f"forge: the wiki has no environment at {options.wiki_python}.\n"
            "       Make it: `make install`, or python3 -m venv there and install "
            "requirements/wiki.txt into it.",
            file=sys.stderr,
        )
        return 1
    data.mkdir(parents=True, exist_ok=True)
    python = sys.executable
    commands = [
        ([python, "-m", "tracker.prepare"], FORGE / "tickets"),
        ([python, "-m", "browse.prepare"], FORGE / "code"),
        ([str(options.wiki_python), "manage.py", "prepare"], FORGE / "wiki"),
    ]
    environment = {**os.environ, "FORGE_DATA": str(data)}
    for command, place in commands:
        output = subprocess.DEVNULL if options.quiet else None
        done = subprocess.run(command, cwd=place, env=environment, stdout=output, check=False)
        if done.returncode:
            print(f"forge: {' '.join(command)} failed in {place}", file=sys.stderr)
            return 1
    # The manifest names the databases where they usually lie; those elsewhere it knows nothing of.
    if data == USUAL and not installed(options.quiet):
        return 1
    stamp.write_text(wanted)
    return 0


def installed(quiet: bool) -> bool:
    """Let the databases log what changes in them, by triggers that any writer fires."""
    command = [sys.executable, "-m", "mergepoint", "--config", str(FORGE / "mergepoint.toml")]
    output = subprocess.DEVNULL if quiet else None
    argv = [*command, "feed", "install"]
    return subprocess.run(argv, stdout=output, check=False).returncode == 0


def digest() -> str:
    """Return a name for the state of everything that `prepare` depends on."""
    found = hashlib.sha256(str(FORGE).encode())
    for pattern in SOURCES:
        for file in sorted(FORGE.glob(pattern)):
            found.update(file.read_bytes())
    return found.hexdigest()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prepare the data of the forge.")
    parser.add_argument("--wiki-python", type=Path, default=WIKI_PYTHON, metavar="FILE")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--force", action="store_true", help="ask every app, whatever the stamp")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
