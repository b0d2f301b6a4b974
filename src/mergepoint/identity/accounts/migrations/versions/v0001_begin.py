"""People, sessions, tokens, links, factors, revocations, throttle and the append-only audit log.

Place:  store.migrate -> [migrations.versions.0001] -> the database
Rule:   never changed once released.
"""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SQLITE_RULES = (
    "CREATE TRIGGER accounts_audit_update BEFORE UPDATE ON accounts_audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER accounts_audit_delete BEFORE DELETE ON accounts_audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    # INSERT OR REPLACE removes a row without asking the trigger above.
    "CREATE TRIGGER accounts_audit_replace BEFORE INSERT ON accounts_audit "
    "WHEN EXISTS (SELECT 1 FROM accounts_audit WHERE id = NEW.id) "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
)
POSTGRESQL_RULES = (
    "CREATE FUNCTION accounts_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
    "CREATE TRIGGER accounts_audit_rows BEFORE UPDATE OR DELETE ON accounts_audit "
    "FOR EACH ROW EXECUTE FUNCTION accounts_audit_refuse()",
    "CREATE TRIGGER accounts_audit_whole BEFORE TRUNCATE ON accounts_audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_refuse()",
)


def upgrade() -> None:
    """Make every table, the one row of the feed, and the rules of the audit log."""
    _people()
    _factors()
    _proofs()
    _links()
    _feed()
    _audit()


def _people() -> None:
    op.create_table(
        "accounts_subject",
        sa.Column("sub", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("lang", sa.String(length=16), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_at", sa.Double(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=True),
        sa.Column("valid_from", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("sub"),
        sa.UniqueConstraint("user_name"),
    )
    op.create_index(op.f("ix_accounts_subject_email"), "accounts_subject", ["email"], unique=False)
    op.create_table(
        "accounts_grant",
        sa.Column("sub", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sub", "kind", "name", "source"),
    )
    op.create_table(
        "accounts_provider_link",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("sub", sa.String(length=32), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("provider", "subject"),
    )
    op.create_index(
        op.f("ix_accounts_provider_link_sub"), "accounts_provider_link", ["sub"], unique=False
    )


def _factors() -> None:
    op.create_table(
        "accounts_totp",
        sa.Column("sub", sa.String(length=32), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("confirmed_at", sa.Double(), nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sub"),
    )
    op.create_table(
        "accounts_recovery",
        sa.Column("sub", sa.String(length=32), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sub", "code_hash"),
    )
    op.create_table(
        "accounts_passkey",
        sa.Column("credential_id", sa.String(length=1400), nullable=False),
        sa.Column("sub", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("transports", sa.JSON(), nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("credential_id"),
    )
    op.create_index(op.f("ix_accounts_passkey_sub"), "accounts_passkey", ["sub"], unique=False)


def _proofs() -> None:
    op.create_table(
        "accounts_session",
        sa.Column("sid", sa.String(length=32), nullable=False),
        sa.Column("sub", sa.String(length=32), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("amr", sa.JSON(), nullable=False),
        sa.Column("auth_at", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=256), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sid"),
    )
    op.create_index(
        op.f("ix_accounts_session_expires_at"), "accounts_session", ["expires_at"], unique=False
    )
    op.create_index(op.f("ix_accounts_session_sub"), "accounts_session", ["sub"], unique=False)
    op.create_table(
        "accounts_token",
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("sub", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=True),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.Column("used_address", sa.String(length=64), nullable=False),
        sa.Column("revoked_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_accounts_token_sub"), "accounts_token", ["sub"], unique=False)


def _links() -> None:
    op.create_table(
        "accounts_link",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=12), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("sub", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("secret_hash"),
        sa.UniqueConstraint("id"),
    )
    op.create_index(op.f("ix_accounts_link_purpose"), "accounts_link", ["purpose"], unique=False)
    op.create_index(op.f("ix_accounts_link_sub"), "accounts_link", ["sub"], unique=False)
    op.create_table(
        "accounts_attempt",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("sub", sa.String(length=32), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["sub"], ["accounts_subject.sub"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("secret_hash"),
    )
    op.create_index(
        op.f("ix_accounts_attempt_expires_at"), "accounts_attempt", ["expires_at"], unique=False
    )
    op.create_index(op.f("ix_accounts_attempt_sub"), "accounts_attempt", ["sub"], unique=False)


def _feed() -> None:
    op.create_table(
        "accounts_feed",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("pruned", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "accounts_revocation",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=32), nullable=False),
        sa.Column("before_s", sa.Double(), nullable=False),
        sa.Column("written_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("position"),
    )
    op.create_index(
        op.f("ix_accounts_revocation_written_at"),
        "accounts_revocation",
        ["written_at"],
        unique=False,
    )
    op.create_table(
        "accounts_throttle",
        sa.Column("bucket", sa.String(length=64), nullable=False),
        sa.Column("arrival_at", sa.Double(), nullable=False),
        sa.Column("told_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("bucket"),
    )
    op.create_index(
        op.f("ix_accounts_throttle_arrival_at"), "accounts_throttle", ["arrival_at"], unique=False
    )
    feed = sa.table(
        "accounts_feed",
        *(sa.column(name) for name in ("id", "epoch", "position", "pruned", "valid_from")),
    )
    epoch = secrets.token_hex(12)
    op.execute(feed.insert().values(id=1, epoch=epoch, position=0, pruned=0, valid_from=0.0))


def _audit() -> None:
    op.create_table(
        "accounts_audit",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("happened_at", sa.Double(), nullable=False),
        sa.Column("event", sa.String(length=48), nullable=False),
        sa.Column("actor", sa.String(length=32), nullable=False),
        sa.Column("actor_user", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("target_user", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=256), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("accounts_audit_target", "accounts_audit", ["target", "id"], unique=False)
    op.create_index(op.f("ix_accounts_audit_event"), "accounts_audit", ["event"], unique=False)
    op.create_index(
        op.f("ix_accounts_audit_happened_at"), "accounts_audit", ["happened_at"], unique=False
    )
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_RULES if sqlite else POSTGRESQL_RULES:
        op.execute(statement)
