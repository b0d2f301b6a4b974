"""The tables of the accounts database.

Place:  [store.models] -> store.migrate (the same tables, built up), service
Rule:   times are Unix seconds; secrets are stored as hashes, or sealed where they are needed again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

AutoId = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts by itself only in a column that is exactly INTEGER PRIMARY KEY."""


class Model(DeclarativeBase):
    """What all tables share: how Python types become columns."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own form
        float: Double(),
        str: Text(),
        dict[str, Any]: JSON(),
        list[str]: JSON(),
    }


def _subject(*, primary: bool = False) -> Mapped[str]:
    rule = ForeignKey("accounts_subject.sub", ondelete="CASCADE")
    return mapped_column(String(32), rule, primary_key=primary, index=not primary)


class SubjectRow(Model):
    """A person or a service; `valid_from` is where its newest revocation ended older proofs."""

    __tablename__ = "accounts_subject"

    sub: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    user: Mapped[str] = mapped_column("user_name", String(64), unique=True)
    name: Mapped[str] = mapped_column(String(128), default="")
    email: Mapped[str] = mapped_column(String(254), default="", index=True)
    lang: Mapped[str] = mapped_column(String(16), default="")
    disabled: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str | None]
    password_at: Mapped[float | None]
    created_at: Mapped[float]
    seen_at: Mapped[float | None]
    valid_from: Mapped[float] = mapped_column(default=0.0)


class GrantRow(Model):
    """A role or group of a subject; `source` is ``local`` or the provider that gave it."""

    __tablename__ = "accounts_grant"

    sub: Mapped[str] = _subject(primary=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    source: Mapped[str] = mapped_column(String(64), primary_key=True)


class SessionRow(Model):
    """A browser that has logged in; only the SHA-256 of its refresh secret is kept."""

    __tablename__ = "accounts_session"

    sid: Mapped[str] = mapped_column(String(32), primary_key=True)
    sub: Mapped[str] = _subject()
    secret_hash: Mapped[str] = mapped_column(String(64))
    amr: Mapped[list[str]]
    auth_at: Mapped[float]
    created_at: Mapped[float]
    seen_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)
    keep: Mapped[bool] = mapped_column(default=True)
    address: Mapped[str] = mapped_column(String(64), default="")
    agent: Mapped[str] = mapped_column(String(256), default="")
    ended_at: Mapped[float | None]


class TokenRow(Model):
    """An API token; `scopes` None means everything its owner may do."""

    __tablename__ = "accounts_token"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    sub: Mapped[str] = _subject()
    name: Mapped[str] = mapped_column(String(128))
    secret_hash: Mapped[str] = mapped_column(String(64))
    scopes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    used_at: Mapped[float | None]
    used_address: Mapped[str] = mapped_column(String(64), default="")
    revoked_at: Mapped[float | None]


class LinkRow(Model):
    """A one-time link: invite, password reset, first administrator; kept as a hash."""

    __tablename__ = "accounts_link"

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(12), unique=True)
    purpose: Mapped[str] = mapped_column(String(32), index=True)
    sub: Mapped[str | None] = mapped_column(
        String(32), ForeignKey("accounts_subject.sub", ondelete="CASCADE"), index=True
    )
    detail: Mapped[dict[str, Any]]
    created_by: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[float]
    expires_at: Mapped[float]
    used_at: Mapped[float | None]


class AttemptRow(Model):
    """Something begun that a browser must finish: second factor, passkey, provider's login."""

    __tablename__ = "accounts_attempt"

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32))
    sub: Mapped[str | None] = mapped_column(
        String(32), ForeignKey("accounts_subject.sub", ondelete="CASCADE"), index=True
    )
    detail: Mapped[dict[str, Any]]
    tries: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[float] = mapped_column(index=True)


class TotpRow(Model):
    """A person's authenticator, sealed; `last_step` stops a code from working twice."""

    __tablename__ = "accounts_totp"

    sub: Mapped[str] = _subject(primary=True)
    sealed: Mapped[str]
    created_at: Mapped[float]
    confirmed_at: Mapped[float | None]
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)


class RecoveryRow(Model):
    """One recovery code, hashed; works once."""

    __tablename__ = "accounts_recovery"

    sub: Mapped[str] = _subject(primary=True)
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[float]
    used_at: Mapped[float | None]


class PasskeyRow(Model):
    """A WebAuthn credential."""

    __tablename__ = "accounts_passkey"

    credential_id: Mapped[str] = mapped_column(String(1400), primary_key=True)
    sub: Mapped[str] = _subject()
    name: Mapped[str] = mapped_column(String(128), default="")
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(BigInteger, default=0)
    transports: Mapped[list[str]]
    backed_up: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[float]
    used_at: Mapped[float | None]


class ProviderLinkRow(Model):
    """Who somebody is at an OpenID Connect provider."""

    __tablename__ = "accounts_provider_link"

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    sub: Mapped[str] = _subject()
    email: Mapped[str] = mapped_column(String(254), default="")
    created_at: Mapped[float]
    used_at: Mapped[float | None]


class FeedRow(Model):
    """One row: where the revocations stand. Its lock puts positions in the order of commits."""

    __tablename__ = "accounts_feed"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[str] = mapped_column(String(32))
    position: Mapped[int] = mapped_column(BigInteger, default=0)
    pruned: Mapped[int] = mapped_column(BigInteger, default=0)
    valid_from: Mapped[float] = mapped_column(default=0.0)


class RevocationRow(Model):
    """What ended, and which proofs of it; `target` is a sid, a sub, a token's id, or empty."""

    __tablename__ = "accounts_revocation"

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(String(32))
    before: Mapped[float] = mapped_column("before_s")
    at: Mapped[float] = mapped_column("written_at", index=True)


class ThrottleRow(Model):
    """One allowance of tries: GCRA's theoretical arrival time, and when a refusal was recorded."""

    __tablename__ = "accounts_throttle"

    key: Mapped[str] = mapped_column("bucket", String(64), primary_key=True)
    arrival_at: Mapped[float] = mapped_column(index=True)
    told_at: Mapped[float] = mapped_column(default=0.0)


class AuditRow(Model):
    """What happened; triggers refuse to change or remove a row, so nothing refers to others."""

    __tablename__ = "accounts_audit"
    __table_args__ = (Index("accounts_audit_target", "target", "id"),)

    id: Mapped[int] = mapped_column(AutoId, primary_key=True, autoincrement=True)
    at: Mapped[float] = mapped_column("happened_at", index=True)
    event: Mapped[str] = mapped_column(String(48), index=True)
    actor: Mapped[str] = mapped_column(String(32), default="")
    actor_user: Mapped[str] = mapped_column(String(64), default="")
    target: Mapped[str] = mapped_column(String(64), default="")
    target_user: Mapped[str] = mapped_column(String(64), default="")
    address: Mapped[str] = mapped_column(String(64), default="")
    agent: Mapped[str] = mapped_column(String(256), default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")
    detail: Mapped[dict[str, Any]]
