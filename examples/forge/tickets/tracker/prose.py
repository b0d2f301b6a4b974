"""Markdown from people, turned into HTML that cannot harm.

Place:  [prose] -> templates
Rule:   raw HTML is shown, never obeyed; what is left is cleaned once more.
"""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(
    ["table", "strikethrough"]
)


def render(text: str) -> Markup:
    """Return safe HTML for Markdown text."""
    tokens = _markdown.parse(text)
    for token in tokens:
        if token.tag == "h1":
            token.tag = "h2"  # a page has one first heading: the ticket's title
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    return Markup(nh3.clean(html, link_rel="nofollow noopener"))
