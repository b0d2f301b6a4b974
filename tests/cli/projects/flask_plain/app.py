from flask import Flask, redirect, session

app = Flask(__name__)
app.secret_key = "for tests"


@app.get("/")
def index():
    session["seen"] = True
    return '<a href="/about">About</a>'


@app.get("/old")
def old():
    return redirect("/about")


if __name__ == "__main__":
    app.run(port=5000)

raise RuntimeError("detection reads this file; it must never import it")
