"""The page about transactions tells the truth."""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mergepoint.assembly.connect import Document, Site
from mergepoint.core.clock import SystemClock
from mergepoint.tasks import outbox

from .conftest import lines, put

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "transactions.md"


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[str] = mapped_column(primary_key=True)


class Receipt:
    """Enqueues as a task does."""

    def enqueue(self, order: str) -> None:
        joined = outbox.join()
        assert joined is not None
        joined.put("receipts", [put(order)])


def test_the_example_runs(sqlite_file: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    site = Site(Document(url="hub+unix:///nowhere/hub.sock", address="shop/0"), SystemClock())
    names = {
        "URL": f"sqlite:///{sqlite_file}",
        "Order": Order,
        "send_receipt": Receipt(),
        "site": site,
    }
    exec(example, names)
    assert lines(sqlite_file) == ["receipts", "packing", "topic:orders.taken"]
    site.close()
    names["engine"].dispose()  # type: ignore[attr-defined]
