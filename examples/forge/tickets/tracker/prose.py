"""Markdown from people, turned into HTML that cannot harm; `[[Page]]` leads to the wiki.

Place:  [prose] -> templates, telling
Rule:   raw HTML is shown, never obeyed; what is left is cleaned once more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup

PAGE = re.compile(r"\[\[([^\[\]|\n]{1,160})(?:\|([^\[\]\n]{1,160}))?\]\]")


def render(text: str, wiki: str = "") -> Markup:
    """Return safe HTML for Markdown text; `wiki` and a title make the address of a page."""
    tokens = _markdown.parse(text)
    for token in tokens:
        if token.tag == "h1":
            token.tag = "h2"  # a page has one first heading: the ticket's title
    for named in _pages(tokens):
        named.attrs["href"] = wiki + quote(named.meta["title"], safe="")
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    return Markup(nh3.clean(html, link_rel="nofollow noopener"))


def page_titles(text: str) -> list[str]:
    """Return the titles of wiki pages that a text names, in order; not those within code."""
    return [token.meta["title"] for token in _pages(_markdown.parse(text))]


def _pages(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        for child in token.children or []:
            if child.type == "link_open" and "title" in child.meta:
                yield child


def _page(state: StateInline, silent: bool) -> bool:
    match = PAGE.match(state.src, state.pos, state.posMax)
    if match is None or not match.group(1).strip():
        return False
    if not silent:
        state.push("link_open", "a", 1).meta = {"title": match.group(1).strip()}
        state.push("text", "", 0).content = (match.group(2) or match.group(1)).strip()
        state.push("link_close", "a", -1)
    state.pos = match.end()
    return True


_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(
    ["table", "strikethrough"]
)
_markdown.inline.ruler.before("link", "page", _page)
