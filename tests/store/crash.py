#!/usr/bin/env python3
"""Servers and their database are killed with SIGKILL at random moments while feeds post lines. Whatever was acknowledged
is in the store once, under the seq that was acknowledged; nothing is there twice; each call's seq has no hole.

usage: crash.py --parley BINARY [--seconds N | --kills N] [--seed N]
With tests/support/with-postgresql two servers share that PostgreSQL; otherwise one has SQLite."""
import argparse
import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SECRET = "crash-crash-crash-crash-crash-crash"
FEEDS = 8
ACKED_MIN = 50  # lines, or the test has tested nothing


class Node:
    """A server that is started again whenever it was killed."""

    def __init__(self, parley, folder, store):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.command = [parley, "--port", str(self.port), "--data", str(folder), "--log-file", f"{folder}.log"]
        self.environment = {**os.environ, "PARLEY_JWT_SECRET": SECRET, "PARLEY_STORE": store}
        self.environment = {k: v for k, v in self.environment.items() if k != "PARLEY_STORE" or v}
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stdout=subprocess.DEVNULL)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Postgres:
    """The server of with-postgresql."""

    def __init__(self, folder, start):
        self.folder, self.command = Path(folder), start.split()

    def pid(self):
        return int((self.folder / "data/postmaster.pid").read_text(encoding="ascii").splitlines()[0])

    def kill(self):
        """The first process and those that it made."""
        pid = self.pid()
        pids = [pid] + [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
        for one in pids:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                pass
        while any(Path(f"/proc/{one}").exists() and "Z" != state_of(one) for one in pids):
            time.sleep(0.005)

    def start(self):
        end = time.monotonic() + 300
        while subprocess.run(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", check=False).returncode:
            if time.monotonic() > end:
                raise TimeoutError("PostgreSQL does not start: " + (self.folder / "log").read_text(encoding="utf-8")[-2000:])
            time.sleep(0.05)


def state_of(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
    except OSError:
        return "Z"


class Feed(threading.Thread):
    """Posts lines to one node or another. One with a segment_id is posted until it is acknowledged; one without is
    posted once."""

    def __init__(self, number, ports, token, until, seed):
        super().__init__(daemon=True)  # it insists as long as the test goes on
        self.call, self.ports, self.until = f"crash-{number}", ports, until
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.random = random.Random(seed)
        self.acked, self.tried, self.failed = {}, set(), []
        self.refused = self.broken = 0
        self.connections = {}

    def post(self, path, body):
        """The answer, or None if nobody knows what became of it."""
        port = self.random.choice(self.ports)
        connection = self.connections.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=60))
        try:
            connection.request("POST", "/api/v1/calls" + path, json.dumps(body), self.headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()
            self.broken += 1
            time.sleep(0.02)
            return None

    def insist(self, path, body):
        while True:
            answer = self.post(path, body)
            if answer and answer[0] < 300:
                return answer[1]
            if answer and answer[0] != 503:
                self.failed.append(answer)
                return None
            if answer:
                if not answer[1]["error"].get("retry_after_ms"):
                    self.failed.append(answer)
                self.refused += 1
                time.sleep(0.02)

    def run(self):
        self.insist("", {"call_id": self.call})
        number = 0
        while not self.until():
            number += 1
            line = {"text": f"line {number}", "speaker": "agent", "is_final": True}
            if number % 4:
                line["segment_id"] = f"s{number}"
                answer = self.insist(f"/{self.call}/transcription", line)
            else:
                self.tried.add(line["text"])
                found = self.post(f"/{self.call}/transcription", line)
                answer = found[1] if found and found[0] < 300 else None
            if answer:
                self.acked[line["text"]] = answer["seq"]


def revive(nodes):
    for node in nodes:
        if node.process.poll() is not None:
            node.start()  # the database was away when it started


def acked_by(feeds):
    return sum(len(feed.acked) for feed in feeds)


def read_store(store, folder):
    """The lines of every call: (call, seq, text), and the seq of each call."""
    lines = "SELECT c.call_id, s.seq, s.text FROM segments s JOIN calls c ON c.id = s.call"
    calls = "SELECT call_id, seq, 0 FROM calls"
    if not store:
        with sqlite3.connect(f"{folder}/0/parley.db") as database:
            return database.execute(lines).fetchall(), database.execute(calls).fetchall()
    found = []
    for sql in (lines, calls):
        run = subprocess.run(["psql", store, "-AtF", "\t", "-c", sql], capture_output=True, text=True, check=True)
        found.append([(a, int(b), c) for a, b, c in (row.split("\t") for row in run.stdout.splitlines())])
    return found


def index_problems(folder, rows):
    """Every line is found by its words, once the index has caught up."""
    deadline = time.monotonic() + 300
    with sqlite3.connect(f"{folder}/0/parley.db") as database:
        while time.monotonic() < deadline:
            indexed, last = database.execute("SELECT indexed, (SELECT max(id) FROM segments) FROM segments_text_state").fetchone()
            if indexed >= last:
                break
            time.sleep(0.1)
        else:
            yield f"the index of texts is at {indexed} of {last}"
        found = database.execute("SELECT s.text FROM segments_text t JOIN segments s ON s.id = t.rowid WHERE segments_text MATCH 'text : line'")
        found = sorted(text for (text,) in found)
        if found != sorted(text for _, _, text in rows):
            yield f"{len(found)} lines are found by their words, and {len(rows)} are there"


def problems(feeds, rows, calls):
    for feed in feeds:
        own = {}
        for call, seq, text in rows:
            if call != feed.call:
                continue
            if text in own:
                yield f"{call}: \"{text}\" is there twice, as {own[text]} and {seq}"
            own[text] = seq
        for text, seq in feed.acked.items():
            if text not in own:
                yield f"{feed.call}: \"{text}\" was acknowledged with {seq} and is lost"
            elif own[text] != seq:
                yield f"{feed.call}: \"{text}\" was acknowledged with {seq} and has {own[text]}"
        for text in own.keys() - feed.acked.keys() - feed.tried:
            yield f"{feed.call}: \"{text}\" is there, and nobody sent it"
        if sorted(own.values()) != list(range(1, len(own) + 1)):
            yield f"{feed.call}: seq has holes: {len(own)} lines, the last is {max(own.values(), default=0)}"
        yield from (f"{feed.call}: answered {answer}" for answer in feed.failed)
    for call, seq, _ in calls:
        if seq != max([row[1] for row in rows if row[0] == call], default=0):
            yield f"{call}: its seq is {seq}, which is not that of its last line"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parley", required=True)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1000000)
    args = parser.parse_args()
    store = os.environ.get("TEST_STORE", "")
    chance = random.Random(args.seed)
    kills = {"server": 0, "database": 0}
    with tempfile.TemporaryDirectory(prefix="parley-crash-") as folder:
        nodes = [Node(args.parley, Path(folder) / str(i), store) for i in range(2 if store else 1)]
        token = subprocess.run([args.parley, "token", "--role", "feed", "--data", f"{folder}/t"], capture_output=True, check=True,
                               text=True, env={**os.environ, "PARLEY_JWT_SECRET": SECRET}).stdout.strip()
        postgres = Postgres(os.environ["TEST_STORE_FOLDER"], os.environ["TEST_STORE_START"]) if store else None
        for node in nodes:
            node.start()
        over = threading.Event()
        feeds = [Feed(i, [node.port for node in nodes], token, over.is_set, args.seed + i) for i in range(FEEDS)]
        for feed in feeds:
            feed.start()
        begin = time.monotonic()
        # On a busy machine the seconds may be over before there is anything to lose.
        while sum(kills.values()) < args.kills if args.kills else time.monotonic() - begin < args.seconds or acked_by(feeds) < ACKED_MIN:
            time.sleep(chance.uniform(0.05, 1.2))
            revive(nodes)
            if postgres and chance.random() < 0.5:
                kills["database"] += 1
                postgres.kill()
                time.sleep(chance.choice([0, 0.2, 1]))
                postgres.start()
            else:
                kills["server"] += 1
                node = chance.choice(nodes)
                node.kill()
                node.start()
        over.set()
        for feed in feeds:
            while feed.is_alive():
                revive(nodes)
                feed.join(0.1)
        rows, calls = read_store(store, folder)
        found = list(problems(feeds, rows, calls)) + ([] if store else list(index_problems(folder, rows)))
        acked = acked_by(feeds)
        for problem in found[:20]:
            print(problem)
        print(f"seed {args.seed}: {kills['server']} servers and {kills['database']} databases killed, {acked} lines acknowledged,"
              f" {sum(f.refused for f in feeds)} refused, {sum(f.broken for f in feeds)} connections broken, {len(found)} problems")
        if found:
            for node in nodes:
                print(Path(f"{node.command[4]}.log").read_text(encoding="utf-8")[-3000:])
        for node in nodes:
            node.kill()
    return bool(found) or acked < ACKED_MIN


sys.exit(main())
