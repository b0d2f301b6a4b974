from bottle import route, run


@route("/")
def index():
    return "hello"


run(port=8080)

raise RuntimeError("detection reads this file; it must never import it")
