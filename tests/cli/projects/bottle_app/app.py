import bottle

app = bottle.Bottle()


@app.get("/")
def index():
    return "hello"


raise RuntimeError("detection reads this file; it must never import it")
