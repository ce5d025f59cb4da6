"""python-socketio's client against the profile app. Run with Debian's python3-socketio (5.x) by unittest.

PARLEY_CONFORMANCE=path names the server, CONFORMANCE_REFERENCE=1 runs the same on Node.
"""

import asyncio
import importlib.util
import logging
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import unittest

# The library imports a transport's modules when it connects, and says little where one is missing.
NEEDS = {"socketio": "python3-socketio", "requests": "python3-requests", "websocket": "python3-websocket",
         "aiohttp": "python3-aiohttp"}
MISSING = [package for module, package in NEEDS.items() if importlib.util.find_spec(module) is None]
if MISSING:
    print(f"test_python.py needs the Debian packages {', '.join(MISSING)}: run scripts/install-deps --for test.")
    sys.exit(1)

import socketio

HERE = pathlib.Path(__file__).resolve().parent
WAIT_S = 60
REFERENCE = os.environ.get("CONFORMANCE_REFERENCE") == "1"
COUNT = 12 if REFERENCE else 300  # python-engineio takes at most 16 packets in a poll
REFUSED_WAIT_S = 1  # the client waits this long for namespaces that were refused already
STOP_LIMIT_S = 5


def server_command():
    if REFERENCE:
        return [str(HERE.parents[1] / "scripts/node"), str(HERE.parent / "conformance" / "reference.mjs")]
    if "PARLEY_CONFORMANCE" in os.environ:
        return [os.environ["PARLEY_CONFORMANCE"]]
    return [str(HERE.parent.parent / "build" / "asan" / "bin" / "parley-conformance")]


class Server:
    """The conformance server on a free port; stop() fails if it died, leaked or did not end in time."""

    def __init__(self, profile):
        arguments = ["--profile", profile, "--port", "0", "--name", "snake"]
        self.process = subprocess.Popen(server_command() + arguments, stdout=subprocess.PIPE, text=True)
        ready = re.match(r"READY (\d+)", self.process.stdout.readline())
        if not ready:
            raise RuntimeError("the server did not start")
        self.url = f"http://127.0.0.1:{ready[1]}"

    def stop(self):
        assert self.process.poll() is None, f"the server died: {self.process.returncode}"
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self.process.stdout.close()
        assert status == 0, f"status {status} after SIGTERM"


def setUpModule():
    global server
    server = Server("app")


def tearDownModule():
    server.stop()


class Client:
    """A socketio.Client whose events are waited for one by one."""

    def __init__(self, transports, namespaces=None, auth=None, headers=None, query=""):
        self.io = socketio.Client(reconnection=False)
        self.events = queue.Queue()
        self.namespaces = namespaces or ["/"]
        for namespace in self.namespaces:
            for name in ("echo-back", "tick", "news", "disconnect"):
                self.record(name, namespace)
        self.io.connect(server.url + query, transports=transports, namespaces=self.namespaces, auth=auth,
                        headers=headers or {}, wait_timeout=WAIT_S)

    def record(self, name, namespace="/"):
        self.io.on(name, lambda *args: self.events.put((name, namespace, args)), namespace=namespace)

    def next(self):
        return self.events.get(timeout=WAIT_S)

    def call(self, event, *args, namespace="/"):
        """The acknowledgement's arguments as a list."""
        answer = queue.Queue()
        self.io.emit(event, args, namespace=namespace, callback=lambda *a: answer.put(list(a)))
        return answer.get(timeout=WAIT_S)

    def close(self):
        self.io.disconnect()


class Behaviour:
    """What works over every transport; the classes below say which."""

    transports = None

    def connect(self, **options):
        client = Client(self.transports, **options)
        self.addCleanup(client.close)
        return client

    def test_connect_gives_an_id_of_its_own(self):
        client = self.connect()
        self.assertTrue(client.io.connected)
        self.assertGreaterEqual(len(client.io.get_sid()), 20)
        self.assertNotEqual(client.io.get_sid(), client.io.sid)
        me = client.io.call("whoami", timeout=WAIT_S)
        self.assertEqual(me["id"], client.io.get_sid())
        self.assertEqual(me["nsp"], "/")
        self.assertEqual(me["server"], "snake")
        self.assertIs(me["recovered"], False)

    def test_the_transport_is_the_one_asked_for(self):
        client = self.connect()
        self.assertEqual(client.io.transport(), self.transports[-1] if self.transports else "websocket")

    def test_auth_and_query(self):
        client = self.connect(auth={"user": "ü", "n": [1, None]}, query="?a=1%202")
        me = client.io.call("whoami", timeout=WAIT_S)
        self.assertEqual(me["auth"], {"user": "ü", "n": [1, None]})
        self.assertEqual(me["query"]["a"], "1 2")

    def test_namespaces(self):
        client = self.connect(namespaces=["/", "/custom", "/dyn-5"])
        for namespace in ("/", "/custom", "/dyn-5"):
            me = client.io.call("whoami", namespace=namespace, timeout=WAIT_S)
            self.assertEqual(me["nsp"], namespace)
            self.assertEqual(me["id"], client.io.get_sid(namespace))

    def test_auth_refused(self):
        for auth in (None, {"token": "wrong"}):
            client = socketio.Client(reconnection=False)
            errors = queue.Queue()
            client.on("connect_error", errors.put, namespace="/auth")
            with self.assertRaises(socketio.exceptions.ConnectionError):
                client.connect(server.url, transports=self.transports, namespaces=["/auth"], auth=auth,
                               wait_timeout=REFUSED_WAIT_S)
            self.assertEqual(errors.get(timeout=WAIT_S), {"message": "not authorized", "data": {"code": 401}})
            client.disconnect()

    def test_auth_accepted(self):
        client = self.connect(namespaces=["/auth"], auth={"token": "abc"})
        self.assertEqual(client.io.call("whoami", namespace="/auth", timeout=WAIT_S)["nsp"], "/auth")

    def test_unknown_namespace_refused(self):
        client = socketio.Client(reconnection=False)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            client.connect(server.url, transports=self.transports, namespaces=["/nowhere"],
                           wait_timeout=REFUSED_WAIT_S)
        client.disconnect()

    VALUES = (
        ("text",), (1, "2", {"3": [True, None, 1.5]}), ("Ä てすと 🦔",), (b"\0\1\2\xff",),
        ({"a": b"one", "b": [b"two", {"c": b""}]}, 7), (b"x" * 100000,), ("y" * 300000,), ({}, [], None),
    )

    def test_echo(self):
        client = self.connect()
        for args in self.VALUES:
            client.io.emit("echo", args)
            name, _, got = client.next()
            self.assertEqual((name, got), ("echo-back", args))

    def test_echo_with_ack(self):
        client = self.connect()
        for args in self.VALUES:
            self.assertEqual(client.call("echo", *args), list(args))

    def test_push(self):
        client = self.connect()
        client.io.emit("push", (COUNT, "tick"))
        # python-engineio's client handles each message in a thread of its own: the order is lost in there.
        self.assertEqual(sorted(client.next()[2] for _ in range(COUNT)), [(i,) for i in range(COUNT)])

    def test_the_server_asks(self):
        client = self.connect()
        client.io.on("question", lambda payload: {"got": payload})
        self.assertEqual(client.call("ask", "question", {"a": [1]}), [{"answer": {"got": {"a": [1]}}}])
        client.io.on("question", lambda payload: payload["bytes"] + b"!")
        self.assertEqual(client.call("ask", "question", {"bytes": b"hey"}), [{"answer": b"hey!"}])

    def test_the_server_asks_in_vain(self):
        client = self.connect()
        begin = time.monotonic()
        is_over = threading.Event()
        client.io.on("slow", lambda payload: is_over.wait(WAIT_S))
        answer = queue.Queue()
        client.io.emit("ask", ("slow", 1), callback=answer.put)
        self.assertEqual(answer.get(timeout=WAIT_S), {"error": "timeout"})
        is_over.set()
        self.assertGreaterEqual(time.monotonic() - begin, 1.95)

    def test_rooms(self):
        client = self.connect()
        self.assertEqual(client.call("join", "a"), ["ok"])
        self.assertEqual(client.call("rooms"), [[client.io.get_sid(), "a"]])
        self.assertEqual(client.call("leave", "a"), ["ok"])
        self.assertEqual(client.call("rooms"), [[client.io.get_sid()]])

    def test_broadcast_between_clients(self):
        one, two, three = (self.connect(namespaces=["/custom"]) for _ in range(3))
        one.call("join", "room", namespace="/custom")
        two.call("join", "room", namespace="/custom")
        message = {"to": "room", "ev": "news", "args": [{"bytes": b"\1\2"}, "x"]}
        self.assertEqual(one.call("broadcast", message, namespace="/custom"), ["ok"])
        self.assertEqual(two.next(), ("news", "/custom", ({"bytes": b"\1\2"}, "x")))
        everybody = {"ev": "news", "args": [1], "except": two.io.get_sid("/custom")}
        self.assertEqual(one.call("broadcast", everybody, namespace="/custom"), ["ok"])
        self.assertEqual(three.next(), ("news", "/custom", (1,)))
        self.assertTrue(one.events.empty() and two.events.empty() and three.events.empty())

    def test_op_emit_with_ack(self):
        one, two = (self.connect(namespaces=["/dyn-12"]) for _ in range(2))
        for client, value in ((one, 1), (two, b"two")):
            client.io.on("sum", lambda x, value=value: value, namespace="/dyn-12")
        operation = {"op": "emitWithAck", "nsp": "/dyn-12", "ev": "sum", "args": [5], "timeout": 1000 * WAIT_S}
        (result,) = one.call("op", operation, namespace="/dyn-12")
        self.assertIsNone(result["err"])
        self.assertCountEqual(result["responses"], [1, b"two"])

    def test_fetch_and_data(self):
        client = self.connect()
        self.assertEqual(client.call("set-data", {"name": "py"}), ["ok"])
        ((me,),) = client.call("op", {"op": "fetchSockets", "to": client.io.get_sid()})
        self.assertEqual(me["data"], {"name": "py"})
        self.assertEqual(me["rooms"], [client.io.get_sid()])

    def test_server_disconnects_the_namespace(self):
        client = self.connect(namespaces=["/", "/custom"])
        client.io.emit("bye", False, namespace="/custom")
        self.assertEqual(client.next()[:2], ("disconnect", "/custom"))
        self.assertEqual(client.io.call("whoami", timeout=WAIT_S)["nsp"], "/")

    def test_server_closes_the_connection(self):
        client = self.connect()
        client.io.emit("bye", True)
        self.assertEqual(client.next()[:2], ("disconnect", "/"))

    def test_the_transport_drops(self):
        client = self.connect()
        client.io.emit("drop-transport")
        self.assertEqual(client.next()[:2], ("disconnect", "/"))

    def test_client_disconnects(self):
        watcher, client = self.connect(), self.connect()
        room = f"leaving over {self.transports}"
        client.call("join", room)
        client.io.eio.queue.join()  # while a POST of its own is under way the client leaves without a word
        client.io.disconnect()
        deadline = time.monotonic() + WAIT_S
        while watcher.call("op", {"op": "fetchSockets", "to": room}) != [[]]:
            self.assertLess(time.monotonic(), deadline, "the server still has the socket")

    def test_reconnect(self):
        client = self.connect()
        first = client.io.get_sid()
        client.io.disconnect()
        client.io.eio.wait()  # for its threads of the first connection
        client.io.connect(server.url, transports=self.transports, wait_timeout=WAIT_S)
        self.assertNotEqual(client.io.get_sid(), first)
        self.assertEqual(client.call("echo", 1), [1])


class OverPolling(Behaviour, unittest.TestCase):
    transports = ["polling"]


class OverWebSocket(Behaviour, unittest.TestCase):
    transports = ["websocket"]


class WithUpgrade(Behaviour, unittest.TestCase):
    transports = None


class AsyncClient(unittest.IsolatedAsyncioTestCase):
    """The same library's asyncio client: its transports are other code."""

    def setUp(self):
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # the library leaves sessions open at its end

    async def connect(self, transports=None, **options):
        client = socketio.AsyncClient(reconnection=False)
        self.addAsyncCleanup(client.disconnect)
        await client.connect(server.url, transports=transports, wait_timeout=WAIT_S, **options)
        return client

    async def test_echo_over_every_transport(self):
        for transports in (["polling"], ["websocket"], None):
            with self.subTest(transports=transports):
                client = await self.connect(transports)
                for value in ("ü", {"a": [b"\0\1", None]}, b"x" * 100000, "y" * 300000):
                    self.assertEqual(await client.call("echo", value, timeout=WAIT_S), value)

    async def test_calls_in_flight_are_answered_apart(self):
        for transports in (["polling"], ["websocket"], None):
            with self.subTest(transports=transports):
                await self.calls_in_flight(await self.connect(transports))

    async def calls_in_flight(self, client):
        answers = await asyncio.gather(*(client.call("echo", i, timeout=WAIT_S) for i in range(COUNT)))
        self.assertEqual(answers, list(range(COUNT)))

    async def test_broadcast_between_clients(self):
        one, two = await self.connect(namespaces=["/custom"]), await self.connect(["websocket"], namespaces=["/custom"])
        got = asyncio.get_running_loop().create_future()
        two.on("news", got.set_result, namespace="/custom")
        await two.call("join", "async", namespace="/custom", timeout=WAIT_S)
        message = {"to": "async", "ev": "news", "args": [{"bytes": b"\1"}]}
        self.assertEqual(await one.call("broadcast", message, namespace="/custom", timeout=WAIT_S), "ok")
        self.assertEqual(await asyncio.wait_for(got, WAIT_S), {"bytes": b"\1"})

    async def test_the_server_asks(self):
        client = await self.connect()

        async def answer(payload):
            return payload + 1

        client.on("question", answer)
        self.assertEqual(await client.call("ask", ("question", 41), timeout=WAIT_S), {"answer": 42})

    async def test_the_server_disconnects(self):
        client = await self.connect()
        gone = asyncio.get_running_loop().create_future()
        client.on("disconnect", lambda *reason: gone.set_result(True))
        await client.emit("bye", True)
        self.assertTrue(await asyncio.wait_for(gone, WAIT_S))


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # the library leaves closing of its sockets to the garbage collector
