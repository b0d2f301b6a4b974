"""Every event the audit log knows, and what it says to people.

Place:  [accounts.events] -> service, pages, cli
Rule:   a name is never reused for something else; at most 48 characters.
"""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """What happened, as ``subject.verb``."""

    PERSON_ADDED = "person.added"
    PERSON_CHANGED = "person.changed"
    PERSON_RENAMED = "person.renamed"
    PERSON_DISABLED = "person.disabled"
    PERSON_ENABLED = "person.enabled"
    PERSON_DELETED = "person.deleted"
    ROLES_CHANGED = "person.roles_changed"
    GROUPS_CHANGED = "person.groups_changed"
    PASSWORD_SET = "password.set"  # noqa: S105 - a name, not a secret
    PASSWORD_REMOVED = "password.removed"  # noqa: S105
    LOGIN = "login.done"
    LOGIN_REFUSED = "login.refused"
    LOGIN_THROTTLED = "login.throttled"
    FACTOR_REFUSED = "login.factor_refused"
    SESSION_ENDED = "session.ended"
    SESSIONS_ENDED = "session.all_ended"
    EVERYBODY_OUT = "session.everybody_out"
    TOKEN_CREATED = "token.created"  # noqa: S105
    TOKEN_REVOKED = "token.revoked"  # noqa: S105
    TOKEN_REFUSED = "token.refused"  # noqa: S105
    TOTP_ADDED = "factor.totp_added"
    TOTP_REMOVED = "factor.totp_removed"
    RECOVERY_MADE = "factor.recovery_made"
    RECOVERY_USED = "factor.recovery_used"
    PASSKEY_ADDED = "factor.passkey_added"
    PASSKEY_REMOVED = "factor.passkey_removed"
    PASSKEY_CLONED = "factor.passkey_cloned"
    PROVIDER_LINKED = "provider.linked"
    PROVIDER_UNLINKED = "provider.unlinked"
    LINK_ISSUED = "link.issued"
    LINK_USED = "link.used"
    LINK_WITHDRAWN = "link.withdrawn"
    LINK_REFUSED = "link.refused"
    MAIL_SENT = "mail.sent"
    MAIL_RETRIED = "mail.retried"
    MAIL_FAILED = "mail.failed"
    ADDRESS_PROVEN = "person.address_proven"
    KEYS_ROTATED = "keys.rotated"
