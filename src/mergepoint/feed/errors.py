"""What can go wrong between a database and those who follow it.

Place:  [feed.errors] -> feed, assembly, cli
Rule:   a leaf; no message holds an address, which may hold a password.
"""

from __future__ import annotations

from mergepoint.core.errors import Exit, MergepointError


class FeedError(MergepointError):
    """The root of this package's errors."""

    code = "feed.error"


class FeedRefused(FeedError):
    """It was asked for something that no waiting makes possible."""

    code = "feed.refused"
    exit = Exit.CONFIG


class FeedUnreachable(FeedError):
    """The database did not answer; it may later."""

    code = "feed.unreachable"


class FeedNotInstalled(FeedError):
    """The database answers, and has no log: `mergepoint feed install`."""

    code = "feed.not_installed"


class FeedInvalid(FeedError):
    """A line on the feed's socket that is no request of the protocol."""

    code = "feed.invalid"
