"""The feed and the agent in Python (clients/python) against the built parley. PARLEY=path names it."""

import importlib.util
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request

# The library imports a transport's modules when it connects, and says little where one is missing.
NEEDS = {"socketio": "python3-socketio", "requests": "python3-requests", "websocket": "python3-websocket"}
MISSING = [package for module, package in NEEDS.items() if importlib.util.find_spec(module) is None]
if MISSING:
    print(f"test_python_commands.py needs the Debian packages {', '.join(MISSING)}: run scripts/install-deps --for test.")
    sys.exit(1)

HERE = pathlib.Path(__file__).resolve().parent
CLIENTS = HERE.parent.parent / "clients" / "python"
PARLEY = os.environ.get("PARLEY", str(HERE.parent.parent / "build" / "asan" / "bin" / "parley"))
WAIT_S = 60
# PARLEY_* in the environment configures the server; a test's server is nobody's but the test's.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY")}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Parley:
    def __init__(self):
        self.data = tempfile.TemporaryDirectory(prefix="parley-python-")
        self.port = free_port()
        self.start()

    def start(self):
        command = [PARLEY, "--port", str(self.port), "--data", self.data.name]
        self.process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(WAIT_S)
        assert status == 0, f"parley ended with {status}"

    def token(self, *options):
        command = [PARLEY, "token", "--data", self.data.name, *options]
        return subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout.strip()


def setUpModule():
    global parley, tokens
    parley = Parley()
    tokens = {"feed": parley.token("--role", "feed"), "agent": parley.token("--role", "agent", "--sub", "ann", "--calls", "*")}


def tearDownModule():
    parley.end()
    parley.data.cleanup()


class Command:
    """One of the two, started as a person would; output grows."""

    def __init__(self, name, *arguments, url=None, token=None, environment=None):
        command = [sys.executable, str(CLIENTS / f"{name}.py"), "--url", url or f"http://127.0.0.1:{parley.port}",
                   "--token", token or tokens[name], *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                        env={**os.environ, **(environment or {})})
        self.output = ""
        self.grown = threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for row in self.process.stdout:
            with self.grown:
                self.output += row
                self.grown.notify_all()

    def sees(self, pattern):
        with self.grown:
            if not self.grown.wait_for(lambda: re.search(pattern, self.output), WAIT_S):
                raise AssertionError(f"{pattern} did not appear in:\n{self.output}")

    def say(self, *rows):
        self.process.stdin.write("".join(f"{row}\n" for row in rows))
        self.process.stdin.flush()

    def end(self):
        """Its status, after the end of its input."""
        self.process.stdin.close()
        status = self.process.wait(WAIT_S)
        self.reader.join()
        self.process.stdout.close()
        return status


class Proxy:
    """Passes bytes on; cut() breaks every connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.pairs = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                inside, _ = self.listener.accept()
            except OSError:
                return
            outside = socket.create_connection(("127.0.0.1", parley.port))
            self.pairs.append((inside, outside))
            for ends in ((inside, outside), (outside, inside)):
                threading.Thread(target=self.copy, args=ends, daemon=True).start()

    @staticmethod
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                end.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


class Commands(unittest.TestCase):
    def begin(self, name, *arguments, **more):
        command = Command(name, *arguments, **more)
        self.addCleanup(lambda: command.process.poll() is None and command.process.kill())
        return command

    def lines_of(self, call_id):
        agent = self.begin("agent", call_id)
        status = agent.end()
        return status, [row for row in agent.output.splitlines() if ": " in row]

    def test_an_agent_sees_what_a_feed_sends(self):
        feed = self.begin("feed", "--call-id", "py-whole", "-")
        feed.sees("py-whole")
        agent = self.begin("agent", "py-whole")
        feed.say("customer: I lost my password", "", '{"speaker": "agent", "text": "No problem"}')
        agent.sees("agent: No problem")
        self.assertEqual(feed.end(), 0, feed.output)
        self.assertEqual(agent.end(), 0, agent.output)
        self.assertEqual(agent.output.splitlines(), ["customer: I lost my password", "agent: No problem"])

    def test_a_refused_row_costs_itself(self):
        feed = self.begin("feed", "--call-id", "py-refused", "-")
        feed.say("agent: one", "no speaker", "{oops", f"{'N' * 150}: two", "agent: three")
        self.assertEqual(feed.end(), 1)
        self.assertRegex(feed.output, r"line 2 was not taken: is neither")
        self.assertRegex(feed.output, r"line 3 was not taken")
        self.assertRegex(feed.output, r"line 4 was not taken: .*/speaker.*\[400\]")
        self.assertEqual(self.lines_of("py-refused"), (0, ["agent: one", "agent: three"]))

    def test_a_call_that_is_open_is_left_alone(self):
        first = self.begin("feed", "--call-id", "py-open", "-")
        first.sees("py-open")
        second = self.begin("feed", "--call-id", "py-open", "-")
        self.assertEqual(second.end(), 1)
        self.assertIn("already open", second.output)
        first.say("agent: still mine")
        self.assertEqual(first.end(), 0, first.output)
        third = self.begin("feed", "--call-id", "py-open", "-")
        self.assertEqual(third.end(), 1)
        self.assertIn("[409]", third.output)

    def test_sigterm_ends_the_call(self):
        feed = self.begin("feed", "--call-id", "py-term", "-")
        feed.say("agent: one")
        feed.sees("py-term")
        agent = self.begin("agent", "py-term")
        agent.sees("agent: one")
        feed.process.send_signal(signal.SIGTERM)
        self.assertEqual(feed.end(), 130, feed.output)
        self.assertEqual(agent.end(), 0, agent.output)

    def test_cut_off_again_and_again(self):
        proxy = Proxy()
        self.addCleanup(proxy.close)
        feed = self.begin("feed", "--call-id", "py-cut", "-", url=proxy.url)
        feed.sees("py-cut")
        agent = self.begin("agent", "py-cut", url=proxy.url)
        for number in range(30):
            feed.say(f"agent: line {number}")
            if number % 10 == 5:
                agent.sees(f"line {number - 1}\n")
                proxy.cut()
        self.assertEqual(feed.end(), 0, feed.output)
        self.assertEqual(agent.end(), 0, agent.output)
        wanted = [f"agent: line {number}" for number in range(30)]
        self.assertEqual([row for row in agent.output.splitlines() if row.startswith("agent: ")], wanted)
        self.assertEqual(self.lines_of("py-cut"), (0, wanted))

    def test_the_server_is_restarted(self):
        feed = self.begin("feed", "--call-id", "py-restart", "-")
        feed.say("agent: before")
        feed.sees("py-restart")
        agent = self.begin("agent", "py-restart")
        agent.sees("agent: before")
        parley.end()
        parley.start()
        feed.say("agent: after")
        agent.sees("agent: after")
        self.assertEqual(feed.end(), 0, feed.output)
        self.assertEqual(agent.end(), 0, agent.output)

    def test_what_is_refused_ends_with_its_reason(self):
        nobody = self.begin("agent", "no-such-call")
        self.assertEqual(nobody.end(), 1)
        self.assertIn("[404]", nobody.output)
        for name, token in (("feed", "nonsense"), ("feed", tokens["agent"])):
            refused = self.begin(name, "-" if name == "feed" else "c", token=token)
            self.assertEqual(refused.end(), 1)
            self.assertRegex(refused.output, r"feed: .*\[40[13]\]")


if __name__ == "__main__":
    unittest.main()
