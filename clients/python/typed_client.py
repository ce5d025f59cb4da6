#!/usr/bin/env python3
"""A chat with the assistant of a Parley server over a plain WebSocket, in typed events: each line of standard input is a
message, the answer is printed as it comes, a form is asked field by field (an empty line declines). Ctrl-C stops an
answer. After a lost connection it asks for what it missed. Ends with 1 if an answer failed. Needs websockets (PyPI).
"""
import argparse
import asyncio
import contextlib
import datetime
import json
import os
import signal
import sys
import urllib.parse
import uuid

import websockets

from lines import Lines

PAUSE_S, MAX_PAUSE_S = 0.25, 5
EXAMPLES = {"date-time": " (2026-01-31 12:00)", "date": " (2026-01-31)"}  # of formats that are not plain


class Refused(Exception):
    """The server does not admit the client."""


class Chat:
    """One chat, named by the id in its path. `on_event` gets each event of the server's, those of the log once."""

    def __init__(self, url, session_id, token, on_event):
        self.url = f"ws{url.rstrip('/').removeprefix('http').removeprefix('ws')}/ws/{urllib.parse.quote(session_id, safe='')}"
        self.token, self.on_event = token, on_event
        self.seq = 0  # of the last event seen
        self.socket = None
        self.own = set()  # ids of messages
        self.unconfirmed = {}  # by id: what may not have arrived

    async def run(self):
        """Until the server refuses the client; a connection that is lost is made again."""
        pause_s = PAUSE_S
        while True:
            why = None
            try:
                async with websockets.connect(self._address(), max_size=None) as self.socket:
                    async for text in self.socket:
                        pause_s = PAUSE_S
                        await self._take(json.loads(text))
            except (OSError, websockets.InvalidHandshake, websockets.ConnectionClosed) as error:
                why = error
            if self.socket and self.socket.close_code == 1008:
                raise Refused(self.socket.close_reason or "the token is not valid here")
            if why and pause_s == PAUSE_S:  # once, until there is a connection again
                print(f"typed_client: not connected, trying again: {why}", file=sys.stderr, flush=True)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def say(self, text):
        """Asks. What answers it has the id as its ref_id."""
        message_id = f"msg_{uuid.uuid4().hex}"
        self.own.add(message_id)
        await self._send(message_id, {"type": "chat.message", "content": text, "id": message_id})
        return message_id

    async def submit(self, form_id, content):
        """Fills a form. None: declines it."""
        answer = {"action": "decline"} if content is None else {"content": content}
        await self._send(form_id, {"type": "elicitation.submit", "reply_to": form_id, **answer})

    async def stop(self):
        """Ends the answer that is being given."""
        await self._write({"type": "signal.stop", "content": {}})

    def _address(self):
        query = {"dialect": "typed", "since_seq": self.seq, **({"token": self.token} if self.token else {})}
        return f"{self.url}?{urllib.parse.urlencode(query)}"

    async def _take(self, event):
        if event["type"] == "session.ready":
            for lost in list(self.unconfirmed.values()):  # the same id twice is answered once
                await self._write(lost)
        if event["type"] in ("chat.message", "elicitation.end"):
            self.unconfirmed.pop(event.get("id"), None)
        elif event["type"] == "error":
            self.unconfirmed.pop(event.get("ref_id"), None)
        if event.get("seq", self.seq + 1) > self.seq:
            self.seq = max(self.seq, event.get("seq", 0))
            self.on_event(event)

    async def _send(self, key, event):
        self.unconfirmed[key] = event
        await self._write(event)

    async def _write(self, event):
        with contextlib.suppress(websockets.ConnectionClosed, AttributeError):  # sent again when there is a session
            await self.socket.send(json.dumps(event))


def value_of(text, schema):
    """What was typed, of the field's type; as it is where it does not fit: the server says why. A time without a zone is
    this machine's."""
    with contextlib.suppress(ValueError):
        if schema.get("format") == "date-time":
            time = datetime.datetime.fromisoformat(text.strip())
            return text if time.tzinfo else time.astimezone().isoformat(timespec="seconds")
        if schema.get("type") in ("number", "integer", "boolean"):
            return json.loads(text)
    return text


class Talk:
    """Messages from standard input, one after another, and what comes back."""

    def __init__(self, options):
        self.chat = Chat(options.url, options.session, options.token, self.show)
        self.lines = Lines()
        self.ready = asyncio.get_running_loop().create_future()
        self.steps = asyncio.Queue()  # forms, refusals, ends
        self.asked = None  # the one that is being answered
        self.failed = False

    def show(self, event):
        """Without waiting: every event, as it comes."""
        kind, content = event["type"], event.get("content")
        if kind in ("chat.done", "error") and event.get("ref_id") == self.asked:
            self.asked = None  # from here on Ctrl-C ends the client
        if kind == "session.ready" and not self.ready.done():
            self.ready.set_result(content["pending"])
        elif kind == "chat.message" and event["id"] not in self.chat.own:
            print(f"> {content}", flush=True)
        elif kind == "chat.token":
            print(content, end="", flush=True)
        elif kind == "tool.start":
            print(f"· {content['tool']}", flush=True)
        elif kind == "reminder.due":
            print(f"⏰ {content['text']}", flush=True)
        elif kind == "chat.done":
            print(" (stopped)" if content.get("stopped") else "", flush=True)
        elif kind == "error" and content["code"] != 409:  # somebody else was first
            print(f"typed_client: {content['message']} [{content['code']}]", file=sys.stderr, flush=True)
        if kind in ("elicitation.start", "elicitation.end", "chat.done", "error"):
            self.steps.put_nowait(event)

    async def run(self):
        for form in await self.ready:
            await self.answer(form["ref_id"], {"id": form["id"], "content": form})
        while (line := await self.lines.next()) is not None:
            if line.strip():
                await self.answer(await self.chat.say(line))
        return 1 if self.failed else 0

    async def answer(self, ref_id, form=None):
        """Until the answer to a message is complete. Its forms are filled; one that is refused is asked again."""
        self.asked = ref_id
        filling = asyncio.ensure_future(self.fill(form)) if form else None
        while True:
            step = await self.steps.get()
            kind, is_own = step["type"], step.get("ref_id") == ref_id
            is_new = kind == "elicitation.start" and is_own and step["id"] != (form or {}).get("id")
            is_refusal = kind == "error" and form and "ref_id" not in step and step["content"]["code"] == 400
            is_end = kind in ("chat.done", "error") and is_own
            is_filled = kind == "elicitation.end" and form and step["id"] == form["id"]  # perhaps by somebody else
            if filling and (is_new or is_refusal or is_end or is_filled):
                filling.cancel()
            if is_new or is_refusal:
                form = step if is_new else form
                filling = asyncio.ensure_future(self.fill(form))
            if is_end:
                break
        self.failed |= kind == "error"

    async def fill(self, form):
        await self.chat.submit(form["id"], await self.ask(form["content"]))

    async def ask(self, form):
        """Content for what is required and not known yet, or None."""
        print(form["message"], flush=True)
        if form["mode"] != "form":
            print(form.get("url", ""), "yes or no?", flush=True)
            return {} if (await self.lines.next() or "").strip().lower() in ("y", "yes") else None
        schema, content = form["schema"], dict(form.get("values") or {})
        for name in schema.get("required", []):
            if name not in content:
                field = schema["properties"].get(name, {})
                print(f"{name}?{EXAMPLES.get(field.get('format'), '')}", flush=True)
                if not (line := await self.lines.next()):
                    return None
                content[name] = value_of(line, field)
        return content

    def interrupt(self, task):
        if self.asked:
            asyncio.ensure_future(self.chat.stop())
        else:
            task.cancel()


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=os.environ.get("CHAT_URL", "http://127.0.0.1:3000"))
    parser.add_argument("--token", default=os.environ.get("CHAT_TOKEN"), help="not needed on a server without users")
    parser.add_argument("--session", default=uuid.uuid4().hex, help="the chat to go on with; default: a new one")
    talk = Talk(parser.parse_args())
    tasks = [asyncio.ensure_future(talk.run()), asyncio.ensure_future(talk.chat.run())]
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, talk.interrupt, tasks[0])
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    except Refused as error:
        sys.exit(f"typed_client: refused: {error}")
    except asyncio.CancelledError:
        return 130
    finally:
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
