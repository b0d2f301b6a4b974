"""The tables: tickets, their labels and what was said about them.

Place:  [models] -> database, queries, views
Rule:   columns and relations only; lengths are the bounds that forms.py enforces.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Column, ForeignKey, Index, String, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

TITLE_CHARS_MAX = 160
BODY_CHARS_MAX = 20_000
COMMENT_CHARS_MAX = 10_000
HANDLE_CHARS_MAX = 64
NAME_CHARS_MAX = 100
EMAIL_CHARS_MAX = 254


class Model(DeclarativeBase):
    """The registry of this app's tables."""


ticket_labels = Table(
    "ticket_labels",
    Model.metadata,
    Column("ticket_id", ForeignKey("tickets.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", ForeignKey("labels.id", ondelete="CASCADE"), primary_key=True),
    Index("ticket_labels_by_label", "label_id"),
)


class Label(Model):
    """A word that sorts tickets; `tone` is one of the colours the shell knows."""

    __tablename__ = "labels"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(40), unique=True)
    tone: Mapped[str] = mapped_column(String(10), default="")


class Written:
    """Has an author: the name to log in with, and the one that was shown at the time."""

    author: Mapped[str]
    author_name: Mapped[str]

    @property
    def by(self) -> str:
        """Return the author as people read it; older rows have one name alone."""
        return self.author_name or self.author


class Ticket(Written, Model):
    """Something to do. `version` grows with every edit of its fields, not with comments."""

    __tablename__ = "tickets"
    __table_args__ = (
        Index("tickets_by_state", "state", "updated_at"),
        Index("tickets_by_assignee", "assignee", "updated_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(TITLE_CHARS_MAX))
    body: Mapped[str] = mapped_column(default="")
    state: Mapped[str] = mapped_column(String(10), default="open")
    author: Mapped[str] = mapped_column(String(HANDLE_CHARS_MAX))
    author_name: Mapped[str] = mapped_column(String(NAME_CHARS_MAX), default="", server_default="")
    assignee: Mapped[str] = mapped_column(String(HANDLE_CHARS_MAX), default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)

    labels: Mapped[list[Label]] = relationship(
        secondary=ticket_labels, order_by=Label.name, lazy="selectin"
    )
    comments: Mapped[list[Comment]] = relationship(
        back_populates="ticket", order_by="Comment.id", cascade="all, delete-orphan"
    )

    # The database refuses a write made from an older version, whatever the code above it checked.
    __mapper_args__ = {"version_id_col": version, "version_id_generator": False}


class Comment(Written, Model):
    """One entry of a ticket's thread: words (`comment`) or a change worth telling (`event`)."""

    __tablename__ = "comments"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(10), default="comment")
    author: Mapped[str] = mapped_column(String(HANDLE_CHARS_MAX))
    author_name: Mapped[str] = mapped_column(String(NAME_CHARS_MAX), default="", server_default="")
    body: Mapped[str]
    created_at: Mapped[datetime]

    ticket: Mapped[Ticket] = relationship(back_populates="comments")


class Notification(Model):
    """Something one person is told about a ticket; `read_at` is empty until they have read it.

    `email` is where it was mailed to when it was written, empty for nowhere.
    """

    __tablename__ = "notifications"
    __table_args__ = (Index("notifications_by_user", "user", "read_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(String(HANDLE_CHARS_MAX))
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id", ondelete="CASCADE"))
    by: Mapped[str] = mapped_column(String(NAME_CHARS_MAX))
    said: Mapped[str] = mapped_column(String(40))
    words: Mapped[str] = mapped_column(default="")
    email: Mapped[str] = mapped_column(String(EMAIL_CHARS_MAX), default="")
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]

    ticket: Mapped[Ticket] = relationship(lazy="joined")


class Mailbox(Model):
    """Where somebody wants their notifications mailed to, as the site proved it is theirs."""

    __tablename__ = "mailboxes"

    user: Mapped[str] = mapped_column(String(HANDLE_CHARS_MAX), primary_key=True)
    email: Mapped[str] = mapped_column(String(EMAIL_CHARS_MAX))


class WikiPage(Model):
    """What the wiki told of a page of its own; `number` is the version it told of."""

    __tablename__ = "wiki_pages"

    slug: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    number: Mapped[int]
    path: Mapped[str]


class Mention(Model):
    """A page of the wiki names a ticket, which need not exist yet."""

    __tablename__ = "mentions"

    slug: Mapped[str] = mapped_column(
        ForeignKey("wiki_pages.slug", ondelete="CASCADE"), primary_key=True
    )
    ticket_id: Mapped[int] = mapped_column(primary_key=True, index=True)


class Imported(Model):
    """A ticket that a repository brought along; `key` is its number there.

    `batch` names the import that brought it.
    """

    __tablename__ = "imported"

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id", ondelete="CASCADE"))
    batch: Mapped[str] = mapped_column(String(64))


class Count(Model):
    """What the tickets came to on a day: open ones, and what the days before it brought."""

    __tablename__ = "counts"

    day: Mapped[date] = mapped_column(primary_key=True)
    counted_at: Mapped[datetime]
    open: Mapped[int]
    opened: Mapped[int]
    closed: Mapped[int]
    said: Mapped[int]
