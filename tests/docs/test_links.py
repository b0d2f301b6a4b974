"""The pages hang together: links and anchors lead somewhere, and the index names every page.

Place:  tests/docs
Rule:   anchors are made from headings as GitHub makes them; addresses elsewhere are not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
GUIDE_LINES_MAX = 150


def anchors(page: str) -> set[str]:
    """Return the anchors of a page; a second heading of the same words gets -1, and so on."""
    seen: dict[str, int] = {}
    found = set()
    for heading in HEADING.findall(FENCE.sub("", page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if slug in seen else slug)
        seen[slug] = seen.get(slug, 0) + 1
    return found


def links(page: str) -> Iterator[str]:
    """Give the targets of a page's links that stay in the repository."""
    for target in LINK.findall(re.sub(r"`[^`\n]*`", "", FENCE.sub("", page))):
        if not re.match(r"[a-z]+:", target):
            yield target


def broken(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found = []
    for target in links(page.read_text()):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file.read_text())):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_the_index_names_every_page() -> None:
    index = DOCS / "README.md"
    named = {(DOCS / link.partition("#")[0]).resolve() for link in links(index.read_text())}
    missing = [page.name for page in DOCS.rglob("*.md") if page != index and page not in named]

    assert missing == []


def test_a_guide_is_short() -> None:
    guides = list((DOCS / "how-to").glob("*.md"))
    long = [page.name for page in guides if page.read_text().count("\n") > GUIDE_LINES_MAX]

    assert guides
    assert long == []


def test_a_broken_link_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# One\n## `[site.tls]`, *two*!\n## One\n")
    good = "[a](other.md#one) [b](other.md#sitetls-two) [c](other.md#one-1) [d](#here)\n# Here\n"
    page.write_text(f"{good}[e](gone.md) [f](other.md#three) [g](https://example.org)\n")

    assert broken(page) == ["gone.md", "other.md#three"]
