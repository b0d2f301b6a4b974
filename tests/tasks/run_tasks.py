"""Starts a runner, or a child of one, on a hub under test."""

import sys

from mergepoint.tasks.runner.__main__ import main
from tests.tasks.homes import from_environment

if __name__ == "__main__":
    sys.exit(main(from_environment))
