"""The shop's settings: no more than Django asks for, and its tasks on the site."""

SECRET_KEY = "not one"  # a test's
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "shop"
USE_TZ = True
INSTALLED_APPS: list[str] = []
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}}
TASKS = {
    "default": {
        "BACKEND": "mergepoint.neighbours.django.MergepointBackend",
        "QUEUES": ["default", "mail"],
        "OPTIONS": {"retries": 1},
    }
}
