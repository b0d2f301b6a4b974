"""Turn the bytes of a file into something to read: highlighted lines, prose, or a note.

Place:  trees -> [showing] -> pages
Rule:   output is escaped or cleaned; anything large or binary is named, not rendered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urlsplit

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

SHOWN_BYTES_MAX = 1024 * 1024
HIGHLIGHTED_BYTES_MAX = 256 * 1024
LINES_MAX = 20_000
IMAGES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}
READMES = ("readme.md", "readme.markdown", "readme.rst", "readme.txt", "readme")

_markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@dataclass(frozen=True, slots=True)
class Shown:
    """A file ready for a page; `kind` is ``text``, ``image``, ``binary`` or ``large``."""

    kind: str
    lines: list[Markup] = field(default_factory=list)
    language: str = ""
    cut: bool = False


def is_binary(data: bytes) -> bool:
    """Tell whether a file is not text, by Git's own measure: a zero byte near its start."""
    return b"\0" in data[:8000]


def image_type(name: str) -> str | None:
    """Return the media type when browsers can show this file as a picture."""
    return IMAGES.get(name.rpartition(".")[2].lower())


def show(name: str, data: bytes) -> Shown:
    """Return the file for a page."""
    if image_type(name):
        return Shown("image")
    if is_binary(data):
        return Shown("binary")
    if len(data) > SHOWN_BYTES_MAX:
        return Shown("large")
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").removesuffix("\n")
    lexer = _lexer(name, text) if len(data) <= HIGHLIGHTED_BYTES_MAX else TextLexer()
    lexer.stripnl = False
    lexer.ensurenl = False
    # The formatter closes every span at the end of a line, so lines can stand alone.
    html = highlight(text, lexer, HtmlFormatter(nowrap=True)).removesuffix("\n")
    lines = html.split("\n")
    return Shown(
        "text", [Markup(line) for line in lines[:LINES_MAX]], lexer.name, len(lines) > LINES_MAX
    )


def readme(name: str, data: bytes, link: Callable[[str, bool], str]) -> Markup | None:
    """Return a readme as HTML; `link(path, is_image)` turns its relative links into addresses."""
    if is_binary(data) or len(data) > HIGHLIGHTED_BYTES_MAX:
        return None
    text = data.decode("utf-8", "replace")
    if not name.lower().endswith((".md", ".markdown")):
        return Markup('<pre class="plain">{}</pre>').format(text)
    tokens = _markdown.parse(text)
    for token in tokens:
        if token.type.startswith("heading_"):
            # The page's own title is the first heading; those of the readme go below it.
            token.tag = f"h{min(6, int(token.tag[1]) + 1)}"
        for child in token.children or []:
            for attribute in ("href", "src"):
                value = child.attrs.get(attribute)
                if isinstance(value, str) and _is_relative(value):
                    child.attrs[attribute] = link(value, attribute == "src")
    html = _markdown.renderer.render(tokens, _markdown.options, {})
    return Markup(nh3.clean(html, link_rel="nofollow noopener"))


def _is_relative(address: str) -> bool:
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc and not address.startswith(("#", "/"))


def _lexer(name: str, text: str) -> TextLexer:
    try:
        return get_lexer_for_filename(PurePosixPath(name).name, text)
    except ClassNotFound:
        return TextLexer()
