"""`python -m mergepoint` is the same as `mergepoint`.

Place:  shell -> [__main__] -> cli.main
Rule:   nothing but the call.
"""

from __future__ import annotations

from mergepoint.cli.main import main

if __name__ == "__main__":
    main()
