"""The same with Mergepoint: as many lines, and none of the twelve lacks."""

import sys

import mergepoint

site = mergepoint.connect()
queue = site.bus.queue("mail")


def put(job: dict) -> None:
    queue.put(job)


def work() -> None:
    while job := queue.get(wait_s=2):
        with job:
            print("mailing", job.value["to"], flush=True)


if __name__ == "__main__":
    work() if sys.argv[1] == "work" else put({"to": sys.argv[1]})
    site.close()
