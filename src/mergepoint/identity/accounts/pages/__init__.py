"""The web pages of the accounts app: log in, one's own account, administration."""

from mergepoint.identity.accounts.pages.wiring import blueprint

__all__ = ["blueprint"]
