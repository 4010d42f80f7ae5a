"""A process that uses a log, for the tests: does as told on its command line once a line comes in, and prints JSON.

worker.py append FILE NAME COUNT     append numbers; print their offsets
worker.py follow FILE COUNT          wait and read, page by page, until COUNT events; print them
worker.py last FILE                  append, and be killed before anything is closed; print the offset
"""

import json
import os
import sys

from landline.logs.registry import Retention
from landline.logs.sqlite.log import SQLiteLog

FOR_EVER = Retention(keep=None, keep_for=None)


def append(log: SQLiteLog, name: str, count: str) -> list[int]:
    return [log.append(name, str(number), FOR_EVER).offset for number in range(int(count))]


def follow(log: SQLiteLog, count: str) -> list[tuple[int, str, int]]:
    seen: list[tuple[int, str, int]] = []
    at = log.tail()._replace(offset=0)
    while len(seen) < int(count):
        log.wait(at, 5.0)
        for event in log.read(at.offset, 7):
            seen.append((event.offset, event.channel, event.data))
            at = at._replace(offset=event.offset)
    return seen


def last(log: SQLiteLog) -> int:
    return log.append("a", '"last"', FOR_EVER).offset


def main(task: str, file: str, *arguments: str) -> None:
    log = SQLiteLog(file)
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    print(json.dumps(globals()[task](log, *arguments)), flush=True)  # noqa: T201
    if task == "last":
        os.kill(os.getpid(), 9)
    log.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
