"""A task queue in 20 lines of Redis, and why it is not enough: README.md, beside it."""

import json
import sys

import redis

server = redis.Redis.from_url(sys.argv[2])


def put(job: dict) -> None:
    server.lpush("jobs", json.dumps(job))


def work() -> None:
    while raw := server.blmove("jobs", "working", 2, "RIGHT", "LEFT"):
        job = json.loads(raw)
        print("mailing", job["to"], flush=True)
        server.lrem("working", 1, raw)


if __name__ == "__main__":
    work() if sys.argv[1] == "work" else put({"to": sys.argv[1]})
