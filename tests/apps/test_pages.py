"""Every page of every program keeps its links and files below its mount."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from mergepoint_testkit.document import Document

pytestmark = pytest.mark.real

LINKS_MAX = 60
PAGES = {
    "packages": ["/packages/", "/packages/simple/"],
    "git": ["/git/", "/git/project/"],
    "data": ["/data/", "/data/forum/posts"],
    "admin": ["/admin/login/"],
    "calendar": ["/calendar/.web/"],
    "hg": ["/hg/", "/hg/small/", "/hg/small/file/tip"],
    "chat": ["/chat/"],
    "notes": ["/notes/"],
    "node": ["/node/"],
    "go": ["/go/"],
}
# What a program does by itself, wherever it is mounted.
OUTSIDE_BY_DESIGN = {
    "hg": {"/"},  # the first breadcrumb of hgweb is the site's own front page
}


def links(page: httpx2.Response) -> list[str]:
    """Return the same-origin addresses a page names, as absolute URLs without fragment."""
    origin = urlsplit(str(page.url)).netloc
    found = {
        urljoin(str(page.url), address).split("#")[0]
        for address in Document(page.text).addresses("a", "link", "img", "script")
    }
    return sorted(url for url in found if urlsplit(url).netloc == origin)


@pytest.mark.parametrize(("app", "path"), [(a, p) for a, paths in PAGES.items() for p in paths])
def test_every_link_of_the_page_works_and_stays_below_the_mount(
    client: httpx2.Client, app: str, path: str
) -> None:
    page = client.get(path, follow_redirects=True)
    assert page.status_code == 200
    found = links(page)
    outside = [
        url
        for url in found
        if not f"{urlsplit(url).path}/".startswith(f"/{app}/")
        and urlsplit(url).path not in OUTSIDE_BY_DESIGN.get(app, set())
    ]
    inside = [url for url in found if f"{urlsplit(url).path}/".startswith(f"/{app}/")]
    broken = {}
    for url in inside[:LINKS_MAX]:
        answer = client.get(url, follow_redirects=True)
        if answer.status_code >= 400 or not answer.url.path.startswith(f"/{app}"):
            broken[url] = f"{answer.status_code} {answer.url}"

    assert inside, "a page without one link proves nothing"
    assert outside == []
    assert broken == {}


@pytest.mark.parametrize("app", [a for a in PAGES if a != "calendar"])
def test_the_mount_without_its_slash_leads_to_the_app(client: httpx2.Client, app: str) -> None:
    answer = client.get(f"/{app}", follow_redirects=True)

    assert answer.status_code == 200
    for url in links(answer):
        path = urlsplit(url).path
        assert f"{path}/".startswith(f"/{app}/") or path in OUTSIDE_BY_DESIGN.get(app, set())
