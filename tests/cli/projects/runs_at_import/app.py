from flask import Flask

app = Flask(__name__)
app.run(host="0.0.0.0")

raise RuntimeError("detection reads this file; it must never import it")
