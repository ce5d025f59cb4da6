#!/usr/bin/env python3
"""Lessons from a Parley server over a plain WebSocket. By itself each line of standard input is sent and the answer is
printed; with --demo a lesson is shown from its beginning to the end: it is begun, is interrupted by a question,
is taken up again and goes on. Every connection has a lesson of its own. Needs websockets (PyPI).
"""
import argparse
import asyncio
import json
import os
import sys
import urllib.parse
import uuid

import websockets

from lines import Lines

DEMO = ["teach me about {topic}", "{question}", "continue"]


class Failed(Exception):
    """The server's error: the question is not answered."""


class Teacher:
    def __init__(self, socket):
        self.socket = socket

    async def hear(self):
        """The next response. Other messages, of a service for example, are passed over."""
        while True:
            message = json.loads(await self.socket.recv())
            if message["type"] == "response":
                return message
            if message["type"] == "error":
                raise Failed(f"{message['message']} [{message['code']}]")

    async def ask(self, text):
        await self.socket.send(json.dumps({"type": "message", "content": text}))
        return await self.hear()


def show(message):
    topic = f", {message['current_topic']}" if message["current_topic"] else ""
    print(f"[{message['mode']}{topic}] {message['response']}", flush=True)


async def talk(teacher):
    """False if a question was refused."""
    lines, complete = Lines(), True
    while (line := await lines.next()) is not None:
        try:
            if line.strip():
                show(await teacher.ask(line))
        except Failed as error:
            print(f"teaching_client: {error}", file=sys.stderr, flush=True)
            complete = False
    return complete


async def show_demo(teacher, topic, question):
    for step in DEMO:
        text = step.format(topic=topic, question=question)
        print(f"> {text}", flush=True)
        show(await teacher.ask(text))
    return True


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=os.environ.get("CHAT_URL", "http://127.0.0.1:3000"))
    parser.add_argument("--token", default=os.environ.get("CHAT_TOKEN"), help="not needed on a server without users")
    parser.add_argument("--client", default=uuid.uuid4().hex, help="the id in the path; default: a new one")
    parser.add_argument("--demo", action="store_true", help="show a lesson instead of reading standard input")
    parser.add_argument("--topic", default="password", help="of the demo")
    parser.add_argument("--question", default="what is a refund?", help="of the demo")
    options = parser.parse_args()
    query = {"dialect": "teaching", **({"token": options.token} if options.token else {})}
    path = f"/ws/{urllib.parse.quote(options.client, safe='')}?{urllib.parse.urlencode(query)}"
    try:
        async with websockets.connect(f"ws{options.url.rstrip('/').removeprefix('http').removeprefix('ws')}{path}", max_size=None) as socket:
            teacher = Teacher(socket)
            show(await teacher.hear())  # the welcome
            complete = await (show_demo(teacher, options.topic, options.question) if options.demo else talk(teacher))
            return 0 if complete else 1
    except websockets.ConnectionClosed as error:
        is_refusal = error.rcvd and error.rcvd.code == 1008
        sys.exit(f"teaching_client: {'refused: the token is not valid here' if is_refusal else f'the connection ended: {error}'}")
    except (Failed, OSError, websockets.WebSocketException) as error:
        sys.exit(f"teaching_client: {error}")


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        sys.exit(130)
