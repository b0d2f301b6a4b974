"""Django with its admin, sessions and permissions under the site's login; one file, one database.

Run by hand it migrates: `python on_django.py`. DATABASE names the file; SETTINGS adds to them.
"""

import json
import os
import sys

import django
from django.conf import settings

settings.configure(
    **{
        "SECRET_KEY": "tests",
        "DEBUG": False,
        "ALLOWED_HOSTS": ["*"],
        "ROOT_URLCONF": __name__,
        "INSTALLED_APPS": [
            "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
            "django.contrib.sessions", "django.contrib.messages",
        ],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "mergepoint.identity.adapters.django.IdentityMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        "AUTHENTICATION_BACKENDS": ["mergepoint.identity.adapters.django.IdentityBackend"],
        "LOGIN_URL": "/-/accounts/login",
        "TEMPLATES": [{
            "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
            "OPTIONS": {"context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]},
        }],
        "DATABASES": {"default": {
            "ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"],
            # A disk that other tests keep busy is no part of what is tested here.
            "OPTIONS": {"timeout": 30, "init_command": "PRAGMA synchronous = OFF"},
        }},
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "STATIC_URL": "static/",
        **json.loads(os.environ.get("SETTINGS", "{}")),
    }
)  # fmt: skip
sys.modules.setdefault("on_django", sys.modules[__name__])
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.decorators import login_required, permission_required  # noqa: E402
from django.contrib.auth.models import Group  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views import View  # noqa: E402

from mergepoint.identity import of, requires  # noqa: E402


def shown(user):
    if not user.is_authenticated:
        return JsonResponse({"user": ""})
    return JsonResponse(
        {
            "user": user.username,
            "email": user.email,
            "name": user.get_full_name(),
            "staff": user.is_staff,
            "superuser": user.is_superuser,
            "groups": sorted(user.groups.values_list("name", flat=True)),
            "may": user.has_perm("auth.change_group"),
            "password": user.has_usable_password(),
        }
    )


def me(request):
    return shown(request.user)


async def also_me(request):
    user = await request.auser()
    return JsonResponse({"user": user.get_username(), "may": await user.ahas_perm("auth.x")})


def keep(request):
    if "word" in request.GET:
        request.session["word"] = request.GET["word"]
    return HttpResponse(request.session.get("word", "nothing"))


def local_group(request):
    user = get_user_model().objects.get(username=request.GET["user"])
    user.groups.add(Group.objects.get_or_create(name=request.GET["group"])[0])
    return HttpResponse("done")


def disable(request):
    get_user_model().objects.filter(username=request.GET["user"]).update(is_active=False)
    return HttpResponse("done")


def try_password(request):
    from django.contrib.auth import authenticate

    get_user_model().objects.create_user("local", password="secret")
    found = authenticate(request, username="local", password="secret")
    return HttpResponse("in" if found else "out")


@requires("tickets.edit")
def guarded(request):
    return HttpResponse(of(request).user)


@requires("tickets.edit")
async def guarded_async(request):
    return HttpResponse(of(request).user)


@method_decorator(requires(role="admin"), name="dispatch")
class Guarded(View):
    def get(self, request):
        return HttpResponse(of(request).user)


class GuardedMethod(View):
    @requires("tickets.edit")
    def get(self, request):
        return HttpResponse(of(request).user)


urlpatterns = [
    path("me", me),
    path("also-me", also_me),
    path("keep", keep),
    path("local-group", local_group),
    path("disable", disable),
    path("try-password", try_password),
    path("members", login_required(me)),
    path("editors", permission_required("auth.change_group", raise_exception=True)(me)),
    path("guarded", guarded),
    path("guarded-async", guarded_async),
    path("guarded-class", Guarded.as_view()),
    path("guarded-method", GuardedMethod.as_view()),
    path("accounts/", include("django.contrib.auth.urls")),
    path("admin/", admin.site.urls),
]

app = WSGIHandler()
asgi = get_asgi_application()

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    call_command("check", "--fail-level=WARNING")
