"""What people typed, checked.

Place:  a posted form -> [forms] -> views
Rule:   every message says what to do; bounds are those of the tables.
"""

from __future__ import annotations

from typing import Any

from django import forms

from pages.markup import slug_of
from pages.models import (
    ATTACHMENT_BYTES_MAX,
    BODY_CHARS_MAX,
    SUMMARY_CHARS_MAX,
    TITLE_CHARS_MAX,
)


class PageForm(forms.Form):
    """A page as typed; `base` is the number of the version the writer started from, 0 for none."""

    title = forms.CharField(
        max_length=TITLE_CHARS_MAX,
        error_messages={"required": "A page needs a title; its address is made from it."},
    )
    body = forms.CharField(
        label="Text",
        max_length=BODY_CHARS_MAX,
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={"class": "tall", "rows": 22, "spellcheck": "true"}),
    )
    summary = forms.CharField(
        label="What did you change?",
        max_length=SUMMARY_CHARS_MAX,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "One line for the history"}),
    )
    base = forms.IntegerField(min_value=0, max_value=2**31, widget=forms.HiddenInput)

    def clean_title(self) -> str:
        """Refuse titles of which no address can be made."""
        title = " ".join(str(self.cleaned_data["title"]).split())
        if not slug_of(title):
            raise forms.ValidationError("A title needs at least one letter or digit.")
        return title

    def clean_body(self) -> str:
        """Keep lines as lines, whatever the browser sent."""
        return str(self.cleaned_data["body"]).replace("\r\n", "\n")


class AttachmentForm(forms.Form):
    """A small file for a page."""

    file = forms.FileField(max_length=120, error_messages={"required": "Choose a file first."})

    def clean_file(self) -> Any:
        """Refuse files that are too large for a wiki."""
        file = self.cleaned_data["file"]
        if file.size > ATTACHMENT_BYTES_MAX:
            limit_kb, size_kb = ATTACHMENT_BYTES_MAX // 1024, file.size // 1024
            raise forms.ValidationError(f"{size_kb:,} KB; a file may have up to {limit_kb:,} KB.")
        return file
