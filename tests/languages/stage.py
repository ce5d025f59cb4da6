#!/usr/bin/env python3
"""A server for the test of a client in another language, which starts this program and talks to it by lines.

usage: stage.py [--tls] conformance|parley [options of that server…]

Prints `READY url agent-token feed-token certificate` (a `-` stands for what this server does not have) and obeys stdin:
`down` ends the server and answers `DOWN`; `up` starts it at the same port, with its data, and answers `READY …`. The end of
stdin ends the program: status 0 if the server ended with 0, in time, each time it was asked to.

PARLEY and PARLEY_CONFORMANCE name the programs; without them those of build/asan are taken.
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_LIMIT_S = 60
STOP_LIMIT_S = 60
NONE = "-"


def program(variable, name):
    return os.environ.get(variable) or str(ROOT / "build" / "asan" / "bin" / name)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder):
    """A key and a certificate for 127.0.0.1 that signs itself, in that folder."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
               "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


class Server:
    """What both servers have in common: a port that stays the same, a start, an end."""

    def __init__(self, folder, options):
        self.folder, self.port, self.options = folder, free_port(), options
        # PARLEY_* configures the server; a test's server is nobody's but the test's.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY")}

    def start(self):
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=sys.stderr, env=self.environment)
        deadline = time.monotonic() + START_LIMIT_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.command()[0]} did not start")
            time.sleep(0.02)

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the server died: {self.process.returncode}")
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if status != 0:
            raise RuntimeError(f"status {status} after SIGTERM")


class Conformance(Server):
    tokens = [NONE, NONE]

    def command(self):
        return [program("PARLEY_CONFORMANCE", "parley-conformance"), "--port", str(self.port), *self.options]


class Parley(Server):
    """With the demo's documents, and tokens of an agent and of a feed."""

    def __init__(self, folder, options):
        super().__init__(folder, options)
        self.run("import-documents", str(ROOT / "app" / "demo" / "guidelines.json"))
        self.tokens = [self.run("token", "--sub", "ann", "--role", "agent"), self.run("token", "--sub", "feed", "--role", "feed")]

    def run(self, command, *options):
        words = [program("PARLEY", "parley"), command, "--data", str(self.folder / "data"), *options]
        return subprocess.run(words, check=True, capture_output=True, text=True, env=self.environment).stdout.strip()

    def command(self):
        return [program("PARLEY", "parley"), "--data", str(self.folder / "data"), "--port", str(self.port),
                "--drain-timeout-ms", "2000", *self.options]


def play(server, scheme, certificate):
    """Starts the server, and obeys until the end of stdin."""
    def start():
        server.start()
        print("READY", f"{scheme}://127.0.0.1:{server.port}", *server.tokens, certificate, flush=True)

    start()
    is_up = True
    for line in sys.stdin:
        if line.strip() == "down" and is_up:
            server.stop()
            print("DOWN", flush=True)
        elif line.strip() == "up" and not is_up:
            start()
        else:
            raise RuntimeError(f"not understood: {line!r}")
        is_up = not is_up
    if is_up:
        server.stop()


def main(arguments):
    tls = arguments[:1] == ["--tls"]
    kind, *options = arguments[tls:]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="parley-stage-"))
    server = None
    try:
        certificate, key = make_certificate(folder) if tls else (NONE, NONE)
        if tls:
            options += ["--tls-cert", str(certificate), "--tls-key", str(key)]
        server = {"conformance": Conformance, "parley": Parley}[kind](folder, options)
        play(server, "https" if tls else "http", certificate)
    finally:
        if server is not None and getattr(server, "process", None) and server.process.poll() is None:
            server.process.kill()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
