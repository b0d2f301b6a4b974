from pyramid.config import Configurator


def make():
    with Configurator() as config:
        config.add_route("home", "/")
    return config.make_wsgi_app()


application = make()

raise RuntimeError("detection reads this file; it must never import it")
