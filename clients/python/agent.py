#!/usr/bin/env python3
"""Prints the lines of a call of a Parley server until the call has ended. After a lost connection, and after a gap in the
numbers of its events, it asks for what it missed (since_seq).
"""
import argparse
import os
import signal
import sys

from link import Link, Refused


class Call:
    """What was printed of one call."""

    def __init__(self, link, call_id):
        self.link, self.call_id = link, call_id
        self.seq = 0
        self.ended = False

    def subscribe(self):
        """Everything the first time, what came after `seq` then."""
        since = {"since_seq": self.seq} if self.seq else {}
        answer = self.link.ask("call:subscribe", {"call_id": self.call_id, **since})
        if answer["seq"] < self.seq:
            print("· the server has lost what came before", flush=True)
            self.seq = 0
            return self.subscribe()
        for line in answer["transcript"]:
            self.show("transcription:update", line)
        self.seq = answer["seq"]
        self.ended = answer["call"]["status"] == "ended"
        return self.ended

    def apply(self, name, data):
        """One event. A repeat is passed over."""
        seq = data.get("seq")
        if data.get("call_id") != self.call_id or (seq is not None and seq <= self.seq):
            return
        # How far the call is after an outage is not an entry: even the next number is missing then.
        following = seq + 1 if seq is not None and data.get("reached") else seq
        if following is not None and following > self.seq + 1:
            print(f"· events {self.seq + 1} to {following - 1} are missing, asking for them", flush=True)
            self.subscribe()
            return
        self.seq = seq or self.seq
        self.show(name, data)

    def show(self, name, data):
        if name == "transcription:update" and data.get("is_final", True):
            print(f"{data['speaker']}: {data['text']}", flush=True)
        elif name == "call:status":
            self.ended = data["status"] == "ended"
        elif name == "ai:suggestion":
            print("▸ " + ", ".join(document["title"] for document in data["documents"]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=os.environ.get("CALL_URL", "http://127.0.0.1:3000"))
    parser.add_argument("--token", default=os.environ.get("CALL_TOKEN"), help='with the role "agent" or "supervisor"')
    parser.add_argument("call")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    link = Link(options.url, "/", options.token)
    call = Call(link, options.call)
    try:
        call.subscribe()
        while not call.ended:
            name, data = link.events.get()
            if name == "disconnect":
                call.subscribe()
            elif name == "error":
                print(f"agent: the server: {data.get('message')}", file=sys.stderr)
            else:
                call.apply(name, data or {})
        return 0
    except Refused as error:
        sys.exit(f"agent: {error}")
    except KeyboardInterrupt:
        return 130
    finally:
        link.close()


if __name__ == "__main__":
    sys.exit(main())
