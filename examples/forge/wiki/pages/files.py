"""Files of a page: added by a form, handed out as downloads.

Place:  urls -> [files] -> writing
Rule:   bounded, and inert: a browser never runs what somebody uploaded here.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_GET, require_http_methods

from pages import people, views, writing
from pages.forms import AttachmentForm
from pages.models import ATTACHMENTS_MAX, Attachment, Page

PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}


@require_http_methods(["GET", "POST"])
@people.for_writers
def attach(request: HttpRequest, slug: str) -> HttpResponse:
    """Add a file, or show the page with the reason why not; a login on the way leads here too."""
    if request.method == "GET":
        return redirect("page", slug=slug)
    page = get_object_or_404(Page, slug=slug)
    form = AttachmentForm(request.POST, request.FILES)
    if form.is_valid():
        file = form.cleaned_data["file"]
        try:
            writing.attach(page, file.name, file.read(), people.author(request))
        except writing.TooManyFiles:
            form.add_error("file", f"A page may have up to {ATTACHMENTS_MAX} files.")
        else:
            return redirect("page", slug=slug)
    return views.show_page(request, page, form, status=422)


@require_GET
def attachment(_request: HttpRequest, slug: str, name: str) -> HttpResponse:
    """Answer a file: pictures to look at, everything else to keep."""
    found = get_object_or_404(Attachment, page__slug=slug, name=name)
    kind = PICTURES.get(PurePosixPath(found.name).suffix.lower())
    response = HttpResponse(bytes(found.data), content_type=kind or "application/octet-stream")
    disposition = content_disposition_header(kind is None, found.name)
    if disposition:
        response.headers["Content-Disposition"] = disposition
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
