"""parley under a service manager: what it says by sd_notify(3), alone and with workers. PARLEY=path names it."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PARLEY = os.environ.get("PARLEY", str(HERE.parent.parent / "build" / "asan" / "bin" / "parley"))
WAIT_S = 60
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY")}


class Service:
    """A server, and the socket of its manager."""

    def __init__(self, *options):
        self.folder = tempfile.TemporaryDirectory(prefix="parley-service-")
        address = os.path.join(self.folder.name, "notify")
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(address)
        self.manager.settimeout(WAIT_S)
        self.log = os.path.join(self.folder.name, "log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [PARLEY, "--port", "0", "--data", os.path.join(self.folder.name, "data"), *options],
                env={**ENVIRONMENT, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"},
                stdout=log, stderr=log)

    def wait_for(self, text):
        """Everything that came before the message that begins with text; watchdog messages left out."""
        before = []
        while True:
            message = self.manager.recv(4096).decode()
            if message.startswith(text):
                return before
            if message != "WATCHDOG=1":
                before.append(message)

    def end(self):
        while self.process.poll() is None:  # as an impatient manager, and logrotate: it ends in order all the same
            for number in (signal.SIGTERM, signal.SIGUSR1):
                self.process.send_signal(number)
            time.sleep(0.0005)
        status = self.process.wait(WAIT_S)
        if status:
            print(pathlib.Path(self.log).read_text(), file=sys.stderr)
        self.manager.close()
        self.folder.cleanup()
        return status


class TestService(unittest.TestCase):
    def conversation(self, *options):
        service = Service(*options)
        try:
            self.assertEqual(service.wait_for("READY=1"), [])
            for _ in range(3):  # the loop turns
                self.assertEqual(service.wait_for("WATCHDOG=1"), [])
            service.process.send_signal(signal.SIGHUP)
            self.assertEqual(service.wait_for("RELOADING=1\nMONOTONIC_USEC="), [])
            self.assertEqual(service.wait_for("READY=1"), [])
            service.process.send_signal(signal.SIGTERM)
            self.assertEqual(service.wait_for("STOPPING=1"), [])
        finally:
            self.assertEqual(service.end(), 0)

    def test_one_process(self):
        self.conversation()

    def test_workers(self):
        self.conversation("--workers", "2")

    def test_a_stopped_process_feeds_no_watchdog(self):
        service = Service()
        try:
            service.wait_for("READY=1")
            service.wait_for("WATCHDOG=1")
            service.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, service.process.pid, os.WSTOPPED | os.WNOWAIT)
            service.manager.setblocking(False)
            try:
                while True:  # what it sent before
                    service.manager.recv(4096)
            except BlockingIOError:
                pass
            service.manager.settimeout(2)  # four intervals
            with self.assertRaises(TimeoutError):
                service.manager.recv(4096)
            service.process.send_signal(signal.SIGCONT)
        finally:
            service.end()


if __name__ == "__main__":
    unittest.main()
