"""Pytest fixtures of the testkit.

Place:  [testkit] -> tests
Rule:   a missing service skips at home and fails where MERGEPOINT_REQUIRE_SERVICES is set.
"""

from mergepoint_testkit.browsers import chromium

__all__ = ["chromium"]
