from flask import Flask

site = Flask(__name__)

raise RuntimeError("detection reads this file; it must never import it")
