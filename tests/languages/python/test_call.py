"""python-socketio as an application uses it: an agent's client over restarts of parley, 5 MB, a refusal with its reason."""

import asyncio
import queue
import unittest

import socketio
from call_client import CallClient
from fixture import Stage

WAIT_S = 60
LARGE_BYTES = 5_000_000
TRANSPORTS = (["polling"], ["websocket"], None)


class Call(unittest.TestCase):
    def setUp(self):
        self.stage = Stage("parley")
        self.addCleanup(self.stage.close)
        self.lines, self.suggestions, self.refusals = queue.Queue(), queue.Queue(), queue.Queue()

    def feed(self):
        io = socketio.Client(reconnection=False)
        io.connect(self.stage.url, namespaces=["/feed"], auth={"token": self.stage.feed_token}, transports=["websocket"])
        self.addCleanup(io.disconnect)
        return io

    def ask(self, feed, event, **request):
        answer = feed.call(event, request, namespace="/feed", timeout=WAIT_S)
        self.assertTrue(answer["ok"], answer)

    def say(self, feed, call_id, text):
        self.ask(feed, "transcription:update", call_id=call_id, speaker="customer", text=text)

    def watch(self, call_id, token, transports):
        client = CallClient(self.stage.url, token, call_id, self.lines.put, self.suggestions.put, self.refusals.put, transports)
        self.addCleanup(client.close)
        return client

    def hears(self, text):
        self.assertEqual(self.lines.get(timeout=WAIT_S)["text"], text)

    def test_follows_a_call_over_a_restart(self):
        for number, transports in enumerate(TRANSPORTS):
            with self.subTest(transports=transports):
                call_id, feed = f"c{number}", self.feed()
                self.ask(feed, "call:start", call_id=call_id)
                self.say(feed, call_id, "hello")
                client = self.watch(call_id, self.stage.agent_token, transports)
                self.hears("hello")
                self.say(feed, call_id, "I got the wrong size, I want to return it")
                self.hears("I got the wrong size, I want to return it")
                document = self.suggestions.get(timeout=WAIT_S)["documents"][0]["id"]
                self.assertEqual(document, "product-defect.return-due-to-size")
                self.assertTrue(client.feedback(document, True)["ok"])
                self.stage.down()
                self.stage.up()
                feed = self.feed()
                self.ask(feed, "call:start", call_id=call_id)
                self.say(feed, call_id, "are you still there?")
                self.hears("are you still there?")
                self.assertTrue(self.lines.empty())
                client.close()

    def test_is_refused_with_a_reason(self):
        for transports in TRANSPORTS:
            with self.subTest(transports=transports):
                self.watch("c", "not a token", transports)
                self.assertEqual(self.refusals.get(timeout=WAIT_S)["data"]["code"], 401)


class Large(unittest.TestCase):
    """More than a frame of the kernel's takes, both ways, as text and as bytes."""

    VALUES = ("é" + "y" * LARGE_BYTES, bytes(range(256)) * (LARGE_BYTES // 256))

    def setUp(self):
        self.stage = Stage("conformance", "--profile", "app", "--max-payload", "20000000")
        self.addCleanup(self.stage.close)

    def test_five_megabytes_go_both_ways(self):
        for transports in TRANSPORTS:
            io = socketio.Client(reconnection=False)
            io.connect(self.stage.url, transports=transports)
            for value in self.VALUES:
                self.assertTrue(io.call("echo", value, timeout=WAIT_S) == value, f"{type(value)} over {transports}")
            io.disconnect()

    def test_five_megabytes_go_both_ways_in_asyncio(self):
        async def echo(transports):
            io = socketio.AsyncClient(reconnection=False)
            await io.connect(self.stage.url, transports=transports)
            for value in self.VALUES:
                self.assertTrue(await io.call("echo", value, timeout=WAIT_S) == value, f"{type(value)} over {transports}")
            await io.disconnect()

        asyncio.run(echo(["polling"]))  # over a WebSocket aiohttp takes no more than 4 MB in a message

    def test_comes_back_in_asyncio(self):
        async def come_back(transports):
            io, connections = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.2), asyncio.Queue()
            io.on("connect", lambda: connections.put_nowait("connected"))
            await io.connect(self.stage.url, transports=transports)
            await asyncio.wait_for(connections.get(), WAIT_S)
            self.stage.down()
            self.stage.up()
            await asyncio.wait_for(connections.get(), WAIT_S)
            self.assertEqual(await io.call("echo", 1, timeout=WAIT_S), 1)
            await io.disconnect()

        asyncio.run(come_back(["websocket"]))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
