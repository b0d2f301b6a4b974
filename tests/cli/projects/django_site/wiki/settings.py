from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DEBUG = False
ALLOWED_HOSTS = []
INSTALLED_APPS = ["django.contrib.sessions", "django.contrib.staticfiles"]
ROOT_URLCONF = "wiki.urls"
FORCE_SCRIPT_NAME = "/old-place"
STATIC_URL = "/static/"
LOGIN_REDIRECT_URL = "/home/"

raise RuntimeError("detection reads this file; it must never import it")
