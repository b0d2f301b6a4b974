"""Every address of the wiki, below whatever mount it is given.

Place:  django -> [urls] -> pages
Rule:   relative to the mount; nothing here knows where the wiki hangs.
"""

from django.contrib import admin
from django.urls import include, path

handler400 = "pages.errors.bad_request"
handler403 = "pages.errors.forbidden"
handler404 = "pages.errors.not_found"
handler500 = "pages.errors.broken"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("pages.urls")),
]
