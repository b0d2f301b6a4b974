import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wiki.settings")

raise RuntimeError("detection reads this file; it must never import it")
