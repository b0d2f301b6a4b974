"""Print the link that makes the first administrator, when there is none: one JSON line.

Place:  cli.first_administrator -> [python -m mergepoint.identity.accounts.first_link] -> stdout
Rule:   a process of its own, so that whoever supervises a site never loads the accounts app; the
        settings come by the environment, because other users may read the arguments of a process.
"""

from __future__ import annotations

import json
import os
import sys

from mergepoint.core.errors import MergepointError
from mergepoint.identity.accounts.application import first_administrator_link
from mergepoint.identity.accounts.config import read
from mergepoint.identity.accounts.service.joining import FIRST_ADMINISTRATOR_LIFE_S


def main() -> int:
    """Print ``{"url": ..., "life_s": ...}``, with a null url when somebody administers already."""
    try:
        url = first_administrator_link(read(os.environ))
    except MergepointError as error:
        sys.stderr.write(f"{error.message}\n")
        return int(error.exit)
    sys.stdout.write(json.dumps({"url": url, "life_s": FIRST_ADMINISTRATOR_LIFE_S}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
