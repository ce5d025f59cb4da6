"""A server of the test's own, by ../stage.py."""

import pathlib
import subprocess


class Stage:
    def __init__(self, *arguments):
        command = ["/usr/bin/python3", str(pathlib.Path(__file__).resolve().parents[1] / "stage.py"), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.await_ready()

    def await_ready(self):
        words = self.process.stdout.readline().split()
        if not words:
            raise RuntimeError("the server did not start")
        _, self.url, self.agent_token, self.feed_token, self.certificate = words

    def say(self, command):
        print(command, file=self.process.stdin, flush=True)

    def down(self):
        self.say("down")
        assert self.process.stdout.readline() == "DOWN\n", "the server did not end"

    def up(self):
        self.say("up")
        self.await_ready()

    def close(self):
        """Fails if the server died or did not end as it should."""
        self.process.stdin.close()
        status = self.process.wait()
        self.process.stdout.close()
        assert status == 0, f"the server did not end well: status {status}"
