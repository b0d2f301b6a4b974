"""A page as a browser reads it: links, forms, ids, labels, and what is wrong with its HTML.

Place:  tests -> [document] -> html.parser
Rule:   pure; a text in, facts out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source",
    "track", "wbr",
})  # fmt: skip
ADDRESSES = {"a": "href", "link": "href", "img": "src", "script": "src", "form": "action"}
LABELLED = frozenset({"input", "select", "textarea"})
UNLABELLED_TYPES = frozenset({"hidden", "submit", "button"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
Attributes = dict[str, str]


@dataclass(slots=True)
class Form:
    """A form with the values it would send now."""

    attributes: Attributes
    fields: list[tuple[str, str]] = field(default_factory=list)

    def values(self) -> dict[str, str]:
        """Return the last value of each name."""
        return dict(self.fields)


class Document(HTMLParser):
    """The facts of one page; `faults` lists what a validator would refuse."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.forms: list[Form] = []
        self.headings: list[int] = []
        self.text: list[str] = []
        self.elements: list[tuple[str, Attributes]] = []
        self._open: list[str] = []
        self._typing: tuple[str, list[str]] | None = None
        self._choosing: tuple[str, str | None] | None = None
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]
        self.faults += _faults(self.elements)

    def addresses(self, *tags: str) -> list[str]:
        """Return every address the page names, or only those of these tags."""
        wanted = {tag: ADDRESSES[tag] for tag in tags} if tags else ADDRESSES
        return [
            attributes[wanted[tag]]
            for tag, attributes in self.elements
            if tag in wanted and wanted[tag] in attributes
        ]

    def all(self, tag: str) -> list[Attributes]:
        """Return the attributes of every element with this tag."""
        return [attributes for name, attributes in self.elements if name == tag]

    def words(self) -> str:
        """Return the visible text, spaces folded."""
        return " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        attributes = {name: value or "" for name, value in attrs}
        if len(attributes) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        self.elements.append((tag, attributes))
        if tag in HEADINGS:
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)
        self._note_form(tag, attributes)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element that closes itself, as SVG's do."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Close an element, noting one that was never opened or is crossed by another."""
        if tag == "textarea" and self._typing and self.forms:
            name, parts = self._typing
            self.forms[-1].fields.append((name, "".join(parts).removeprefix("\n")))
            self._typing = None
        elif tag == "select" and self._choosing and self.forms:
            name, chosen = self._choosing
            self.forms[-1].fields.append((name, chosen or ""))
            self._choosing = None
        if tag in VOID:
            return
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            inside = self._open[-1] if self._open else "nothing"
            self.faults.append(f"</{tag}> closes inside <{inside}>")

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self._typing:
            self._typing[1].append(data)
        elif not self._open or self._open[-1] not in {"script", "style"}:
            self.text.append(data)

    def _note_form(self, tag: str, attributes: Attributes) -> None:
        name = attributes.get("name", "")
        if tag == "form":
            self.forms.append(Form(attributes))
        if not self.forms or "form" not in self._open:
            return
        if tag == "input" and name:
            kind = attributes.get("type", "text")
            chosen = "checked" in attributes
            if kind not in {"submit", "file"} and (kind not in {"checkbox", "radio"} or chosen):
                self.forms[-1].fields.append((name, attributes.get("value", "")))
        elif tag == "textarea":
            self._typing = (name, [])
        elif tag == "select":
            self._choosing = (name, None)
        elif tag == "option" and self._choosing:
            first = self._choosing[1] is None
            if first or "selected" in attributes:
                self._choosing = (self._choosing[0], attributes.get("value", ""))


def _faults(elements: Iterable[tuple[str, Attributes]]) -> list[str]:
    """Return what is wrong across elements: ids, labels, references, names, inline code."""
    found = list(elements)
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    labels = {
        attributes["for"] for tag, attributes in found if tag == "label" and "for" in attributes
    }
    faults = [f"id {name!r} is used twice" for name in sorted(set(ids)) if ids.count(name) > 1]
    faults += [f"a label is for {name!r}, which is not there" for name in sorted(labels - set(ids))]
    for tag, attributes in found:
        named = attributes.get("id") in labels or "aria-label" in attributes
        kind = attributes.get("type", "")
        wrapped = kind in {"checkbox", "radio"}
        if tag in LABELLED and kind not in UNLABELLED_TYPES and not named and not wrapped:
            faults.append(f"<{tag} name={attributes.get('name')!r}> has no label")
        for reference in ("aria-describedby", "aria-labelledby", "list"):
            missing = set(attributes.get(reference, "").split()) - set(ids)
            faults += [
                f"{reference} names {name!r}, which is not there" for name in sorted(missing)
            ]
        if tag == "img" and "alt" not in attributes:
            faults.append(f"an image has no alternative text: {attributes.get('src')}")
        faults += [f"<{tag}> carries {name}" for name in attributes if name.startswith("on")]
        if "style" in attributes:
            faults.append(f"<{tag}> carries a style")
    return faults
