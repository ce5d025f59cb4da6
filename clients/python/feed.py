#!/usr/bin/env python3
"""Sends the rows of a file, or of standard input as they come, into a Parley server as one call. A row is JSON with
"speaker" and "text", or "speaker: text". Ends with 0 if every line was taken, with 1 if not (standard error says which).
"""
import argparse
import json
import os
import signal
import sys
import time
import uuid

from link import Link, Refused

END_WITHIN_S = 8
GONE = {404, 409}  # answers about the call, not about the line


def update_of(row, number):
    """The row as transcription:update."""
    if row.lstrip().startswith("{"):
        data = json.loads(row)
        return {"segment_id": f"line-{number}", "is_final": True, **data}
    speaker, separator, text = row.strip().partition(": ")
    if not separator:
        raise ValueError('is neither JSON nor "speaker: text"')
    return {"segment_id": f"line-{number}", "is_final": True, "speaker": speaker, "text": text}


def send_rows(link, call_id, rows):
    """True if every row was taken. A refused one costs itself; a call that has ended costs the rest."""
    complete = True
    for number, row in enumerate(rows, 1):
        try:
            if row.strip():
                link.ask("transcription:update", {**update_of(row, number), "call_id": call_id})
        except (Refused, ValueError) as error:
            print(f"feed: line {number} was not taken: {error}", file=sys.stderr)
            complete = False
            if getattr(error, "code", None) in GONE:
                break
    return complete


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=os.environ.get("CALL_URL", "http://127.0.0.1:3000"))
    parser.add_argument("--token", default=os.environ.get("CALL_TOKEN"), help='with the role "feed"')
    parser.add_argument("--call-id", default=f"call-{uuid.uuid4()}", help="default: a new one")
    parser.add_argument("file", type=argparse.FileType(encoding="utf-8"), help='"-": standard input')
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    link = Link(options.url, "/feed", options.token)
    try:
        started = link.ask("call:start", {"call_id": options.call_id, "status": "active"})
        if started.get("duplicate") and not started["resent"]:
            sys.exit(f"feed: a call {options.call_id} is already open")
        print(options.call_id, flush=True)
        try:
            return 0 if send_rows(link, options.call_id, options.file) else 1
        finally:
            link.deadline = time.monotonic() + END_WITHIN_S
            link.ask("call:end", {"call_id": options.call_id})
    except Refused as error:
        sys.exit(f"feed: {error}")
    except KeyboardInterrupt:
        return 130
    finally:
        link.close()


if __name__ == "__main__":
    sys.exit(main())
