from shop.factory import create_app

application = create_app("production")

raise RuntimeError("detection reads this file; it must never import it")
