"""Who asks: the identity that the edge proved, the same in every framework.

    from mergepoint.identity import of, requires

    of(request).user                      # "" when nobody is logged in
    of(request).may("tickets.edit")

    @requires("tickets.edit")             # 401 or 403 otherwise
    def edit(request): ...

Place:  the edge's header -> host.who -> [identity] -> the user's code
Rule:   standard library only, Python 3.8 syntax; importable in every app's environment, where
        `host.offer` provides it. `accounts` is an app of its own and never imported from here.
"""

from .contract import IdentityUnreadable
from .demand import requires
from .finding import of
from .refusal import Refused
from .subject import ANONYMOUS, Identity

__all__ = ["ANONYMOUS", "Identity", "IdentityUnreadable", "Refused", "of", "requires"]
