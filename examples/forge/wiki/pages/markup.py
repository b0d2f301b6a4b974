"""Markdown with [[links between pages]] and #42 for tickets, turned into HTML that cannot harm.

Place:  [markup] -> writing, views
Rule:   raw HTML is shown, never obeyed; what is left is cleaned once more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

import nh3
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from pages.models import SLUG_CHARS_MAX

LINK = re.compile(r"\[\[([^\[\]|\n]{1,160})(?:\|([^\[\]\n]{1,160}))?\]\]")
TICKET = re.compile(r"#([1-9][0-9]{0,8})(?![\w-])")
LINKS_MAX = 500
ATTRIBUTES = {**nh3.ALLOWED_ATTRIBUTES, "ol": {"start"}}


def slug_of(title: str) -> str:
    """Return the address of a page from its title; empty when nothing of it can be used."""
    return slugify(title, allow_unicode=True)[:SLUG_CHARS_MAX].strip("-")


def links(text: str) -> dict[str, str]:
    """Return the slugs of the pages that a text names, each with the title it uses."""
    found = {token.meta["slug"]: token.meta["title"] for token in _made(_parse(text), "slug")}
    return dict(list(found.items())[:LINKS_MAX])


def tickets(text: str) -> list[int]:
    """Return the numbers of tickets that a text names, in order; not those within code."""
    numbers = [token.meta["ticket"] for token in _made(_parse(text), "ticket")]
    return list(dict.fromkeys(numbers))[:LINKS_MAX]


def render(
    text: str,
    exists: Callable[[Collection[str]], set[str]],
    address: Callable[[str, bool], str],
    ticket_address: str,
) -> SafeString:
    """Return safe HTML. `exists` filters slugs, `address(name, is_there)` makes links of them.

    `ticket_address` and a number are the address of a ticket.
    """
    tokens = _parse(text)
    named = list(_made(tokens, "slug"))
    there = exists({token.meta["slug"] for token in named}) if named else set()
    for token in named:
        known = token.meta["slug"] in there
        target = token.meta["slug"] if known else token.meta["title"]
        token.attrs["href"] = address(target, known)
        if not known:
            token.attrs["class"] = "wanted"
            token.attrs["title"] = "Not written yet"
    for token in _made(tokens, "ticket"):
        token.attrs["href"] = f"{ticket_address}{token.meta['ticket']}"
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    return mark_safe(
        nh3.clean(
            html,
            attributes=ATTRIBUTES,
            allowed_classes={"a": {"wanted"}},
            link_rel="nofollow noopener",
        )
    )


def _parse(text: str) -> list[Token]:
    tokens = _markdown.parse(text)
    for token in tokens:
        if token.tag == "h1":
            token.tag = "h2"  # a page has one first heading: its title
    return tokens


def _made(tokens: list[Token], kind: str) -> Iterator[Token]:
    """Yield the links that one of our own rules made."""
    for token in tokens:
        for child in token.children or []:
            if child.type == "link_open" and kind in child.meta:
                yield child


def _page_link(state: StateInline, silent: bool) -> bool:
    match = LINK.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    title, shown = match.group(1).strip(), (match.group(2) or match.group(1)).strip()
    slug = slug_of(title)
    if not slug:
        return False
    if not silent:
        state.push("link_open", "a", 1).meta = {"slug": slug, "title": title}
        state.push("text", "", 0).content = shown
        state.push("link_close", "a", -1)
    state.pos = match.end()
    return True


def _ticket_link(state: StateInline, silent: bool) -> bool:
    match = TICKET.match(state.src, state.pos, state.posMax)
    before = state.src[state.pos - 1 : state.pos] if state.pos else ""
    if match is None or before.isalnum() or state.linkLevel:
        return False
    if not silent:
        state.push("link_open", "a", 1).meta = {"ticket": int(match.group(1))}
        state.push("text", "", 0).content = match.group(0)
        state.push("link_close", "a", -1)
    state.pos = match.end()
    return True


_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_markdown.inline.ruler.before("link", "page_link", _page_link)
_markdown.inline.ruler.before("link", "ticket_link", _ticket_link)
