"""The addresses of pages.

Place:  config.urls -> [urls] -> views, files, api, assets
Rule:   a page's address is its slug, which may be in any script.
"""

from django.urls import path

from pages import api, assets, files, hooks, views

urlpatterns = [
    path("", views.index, name="pages"),
    path("new", views.new, name="new"),
    path("changes", views.changes, name="changes"),
    path("wanted", views.wanted, name="wanted"),
    path("search", views.search, name="search"),
    path("named", views.named, name="named"),
    path("page/<str:slug>", views.page, name="page"),
    path("page/<str:slug>/edit", views.edit, name="edit"),
    path("page/<str:slug>/history", views.history, name="history"),
    path("page/<str:slug>/version/<int:number>", views.revision, name="revision"),
    path("page/<str:slug>/version/<int:number>/diff", views.diff, name="diff"),
    path("page/<str:slug>/version/<int:number>/restore", views.restore, name="restore"),
    path("page/<str:slug>/files", files.attach, name="attach"),
    path("page/<str:slug>/files/<str:name>", files.attachment, name="attachment"),
    path("api/search", api.search, name="api-search"),
    path("api/recent", api.recent, name="api-recent"),
    path("hooks/ticket", hooks.ticket, name="hook-ticket"),
    path("static/<path:path>", assets.static, name="static"),
]
