"""The pages people read and write.

Place:  urls -> [views] -> queries, writing, markup
Rule:   nothing typed is ever lost: a text that cannot be saved comes back filled in.
"""

from __future__ import annotations

from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_http_methods

from pages import diffs, markup, people, queries, tickets, writing
from pages.forms import AttachmentForm, PageForm
from pages.models import TITLE_CHARS_MAX, Page, Revision
from pages.shell import read_shell

CHANGES_MAX = 50
HISTORY_MAX = 200
HITS_MAX = 30


def to_html(text: str) -> SafeString:
    """Render a page's text, with links to pages that exist and to forms for those that do not."""
    return markup.render(text, queries.existing, _address, read_shell()["tickets"])


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """List all pages by title, and what changed last."""
    return render(
        request,
        "pages/index.html",
        {
            "pages": Page.objects.order_by("title")[: queries.LISTED_MAX],
            "changes": queries.changes(8),
            "wanted_count": len(queries.wanted()),
        },
    )


@require_GET
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a page, or the way to write it."""
    found = Page.objects.filter(slug=slug).first()
    if found is None:
        context = {"title": slug.replace("-", " ").capitalize(), "slug": slug}
        return render(request, "pages/missing.html", context, status=404)
    return show_page(request, found, AttachmentForm())


@require_GET
def named(request: HttpRequest) -> HttpResponse:
    """Lead to the page of a title, for other apps: how an address is made of it is ours alone."""
    slug = markup.slug_of(request.GET.get("title", "")[:TITLE_CHARS_MAX])
    return redirect("page", slug=slug) if slug else redirect("pages")


@require_http_methods(["GET", "POST"])
@people.for_writers
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """Edit a page: preview, save, or show both texts when somebody was faster."""
    found = get_object_or_404(Page, slug=slug)
    if request.method == "POST":
        return _write(request, found)
    initial = {"title": found.title, "body": found.body, "base": found.number}
    return _form(request, PageForm(initial=initial), found)


@require_http_methods(["GET", "POST"])
@people.for_writers
def new(request: HttpRequest) -> HttpResponse:
    """Write a new page; its address is made from its title."""
    if request.method == "POST":
        return _write(request, None)
    initial = {"title": request.GET.get("title", "")[:160], "base": 0}
    return _form(request, PageForm(initial=initial), None)


@require_GET
def history(request: HttpRequest, slug: str) -> HttpResponse:
    """List the versions of a page."""
    found = get_object_or_404(Page, slug=slug)
    revisions = found.revisions.defer("body")[:HISTORY_MAX]
    return render(request, "pages/history.html", {"page": found, "revisions": revisions})


@require_GET
def revision(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Show an old version."""
    old = get_object_or_404(_revisions(), page__slug=slug, number=number)
    context = {"page": old.page, "revision": old, "html": to_html(old.body)}
    return render(request, "pages/revision.html", context)


@require_GET
def diff(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Show what a version changed, or how it differs from the one in ``from``."""
    after = get_object_or_404(_revisions(), page__slug=slug, number=number)
    asked = request.GET.get("from", "")
    start = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else number - 1
    before = _revisions().filter(page=after.page, number=start).first()
    rows = diffs.rows(before.body if before else "", after.body)
    change = {"name": after.title, "rows": rows}
    context = {"page": after.page, "before": before, "after": after, "change": change}
    return render(request, "pages/diff.html", context)


@require_http_methods(["GET", "POST"])
@people.for_writers
def restore(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """Make an old version the newest; a login on the way leads here too."""
    if request.method == "GET":
        return redirect("revision", slug=slug, number=number)
    found = get_object_or_404(Page, slug=slug)
    get_object_or_404(found.revisions, number=number)
    writing.restore(found, number, people.author(request))
    return redirect("page", slug=slug)


@require_GET
def wanted(request: HttpRequest) -> HttpResponse:
    """List pages that others name and nobody has written."""
    return render(request, "pages/wanted.html", {"wanted": queries.wanted()})


@require_GET
def changes(request: HttpRequest) -> HttpResponse:
    """List the newest versions over all pages."""
    return render(request, "pages/changes.html", {"changes": queries.changes(CHANGES_MAX)})


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Find pages by words."""
    words = request.GET.get("q", "").strip()[:200]
    context = {"words": words, "hits": queries.search(words, HITS_MAX)}
    return render(request, "pages/search.html", context)


def _write(request: HttpRequest, found: Page | None) -> HttpResponse:
    form = PageForm(request.POST)
    if not form.is_valid():
        return _form(request, form, found, status=422)
    if "preview" in request.POST:
        return _form(request, form, found, preview=to_html(form.cleaned_data["body"]))
    draft = writing.Draft(**form.cleaned_data, author=people.author(request))
    try:
        saved = writing.save(found.slug if found else markup.slug_of(draft.title), draft)
    except writing.Outdated as outdated:
        return _conflict(request, form, outdated.page)
    return redirect("page", slug=saved.slug)


def _conflict(request: HttpRequest, form: PageForm, now: Page) -> HttpResponse:
    """Show what was typed beside what was saved; saving again builds on the newest version."""
    typed = form.cleaned_data
    rows = diffs.rows(now.body, typed["body"])
    again = PageForm(initial={**typed, "base": now.number})
    context = {"form": again, "page": now, "change": {"name": now.title, "rows": rows}}
    return render(request, "pages/conflict.html", context, status=409)


def _form(
    request: HttpRequest,
    form: PageForm,
    found: Page | None,
    *,
    preview: SafeString | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {"form": form, "page": found, "preview": preview}
    return render(request, "pages/form.html", context, status=status)


def show_page(
    request: HttpRequest, found: Page, form: AttachmentForm, status: int = 200
) -> HttpResponse:
    """Show a page with the form for its files."""
    context = {
        "page": found,
        "html": to_html(found.body),
        "linking": queries.linking_to(found),
        "tickets": tickets.naming(found),
        "attachments": found.attachments.defer("data"),
        "form": form,
    }
    return render(request, "pages/page.html", context, status=status)


def _address(name: str, is_there: bool) -> str:
    if is_there:
        return reverse("page", args=[name])
    return f"{reverse('new')}?{urlencode({'title': name})}"


def _revisions() -> QuerySet[Revision]:
    return Revision.objects.select_related("page")
