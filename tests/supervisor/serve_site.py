"""Run one site as `mergepoint start` does, as a program of its own that can be killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mergepoint.assembly.serve import run_site
from mergepoint.core.errors import MergepointError
from mergepoint.manifest.load import load_site
from mergepoint.supervisor.report import StreamReporter

if __name__ == "__main__":
    manifest = Path(sys.argv[1])
    watch = "--watch" in sys.argv

    def source():
        return load_site(manifest, profile="production", environ=os.environ)

    try:
        sys.exit(run_site(source, reporter=StreamReporter(colour=False), watch=watch))
    except MergepointError as error:
        print(f"{error.message} | {error.next}", file=sys.stderr)
        sys.exit(int(error.exit))
