from django.core.asgi import get_asgi_application

application = get_asgi_application()

raise RuntimeError("detection reads this file; it must never import it")
