"""A Flask app in Mergepoint's own environment: publishes, asks, hands out work."""

import jobs
from flask import Flask, jsonify, request

import mergepoint

app = Flask(__name__)
site = mergepoint.connect()


@app.post("/")
def create():
    ticket = request.get_json()
    identifier = site.bus.publish("tickets.created", ticket)
    return jsonify(id=identifier, request_id=request.environ["mergepoint.request_id"])


@app.get("/search")
def search():
    return jsonify(site.bus.request("search", {"q": request.args["q"]}, timeout_s=10))


@app.post("/mail")
def mail():
    accepted = site.bus.queue("mail").put(request.get_json(), id=request.args.get("id", ""))
    return jsonify(id=accepted.id, duplicate=accepted.duplicate)


@app.post("/reports/<name>")
def report(name):
    return jsonify(task=jobs.report.enqueue(name, hold_s=float(request.args.get("hold_s", 0))).id)
