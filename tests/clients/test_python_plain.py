"""The Python clients on plain WebSockets (clients/python) against the built parley. PARLEY=path names it."""

import importlib.util
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

if importlib.util.find_spec("websockets") is None:
    print("test_python_plain.py needs PyPI's websockets in PYTHONPATH: run scripts/install-deps --for test.")
    sys.exit(1)

import test_python_commands as commands

LESSON = """# India

## Indus Valley

{passage}

## Vedic age

Hymns were handed down by heart for centuries before anybody wrote them down.

# Opening hours

## The shop

The shop opens at nine and closes at six, except on Sundays.
""".format(passage="The Indus Valley had brick towns with drains. " * 20)
LATER = "2099-01-01T07:00:00Z"
LATER_SAID = r"Alarm set: .* on Thursday, 1 January 2099, 07:00 \(UTC\)\."


class Taught(commands.Parley):
    """A server that knows the lesson."""

    def start(self):
        if not hasattr(self, "process"):
            file = pathlib.Path(self.data.name) / "lesson.md"
            file.write_text(LESSON, encoding="utf-8")
            subprocess.run([commands.PARLEY, "import-documents", "--data", self.data.name, str(file)], env=commands.ENVIRONMENT, check=True,
                           capture_output=True)
        super().start()


def setUpModule():
    global parley, token
    commands.parley = parley = Taught()
    token = parley.token("--role", "user", "--sub", "ann")


def tearDownModule():
    parley.end()
    parley.data.cleanup()


class Clients(unittest.TestCase):
    def begin(self, name, *arguments, url=None, token_=None, environment=None):
        command = commands.Command(name, *arguments, url=url, token=token_ or token, environment=environment)
        self.addCleanup(lambda: command.process.poll() is None and command.process.kill())
        return command

    def test_typed_events_answer_a_question_and_ask_a_form(self):
        ann = self.begin("typed_client", "--session", "py-typed")
        ann.say("when does the shop open?")
        ann.sees(r"(?s)· search_knowledge\n.*The shop opens at nine")
        ann.say("create an alarm")
        ann.sees(r"needs more information\.\ntime\?")
        ann.say("some day or other")  # refused: it is asked again
        ann.sees(r"(?s)typed_client: .*\[400\]\n.*time\?")
        ann.say(LATER)
        ann.sees(LATER_SAID)
        self.assertEqual(ann.end(), 0, ann.output)

    def test_a_time_is_typed_as_people_do_in_the_zone_of_this_machine(self):
        ann = self.begin("typed_client", environment={"TZ": "Asia/Kolkata"})
        ann.say("create an alarm")
        ann.sees(r"time\? \(2026-01-31 12:00\)")
        ann.say("2099-01-01 12:30")
        ann.sees(r"Alarm set: .* on Thursday, 1 January 2099, 12:30 \(UTC\+05:30\)\.")
        self.assertEqual(ann.end(), 0, ann.output)

    def test_who_cannot_connect_says_so_once_and_goes_on(self):
        ann = self.begin("typed_client", url="http://127.0.0.1:1")
        ann.sees("typed_client: not connected, trying again: .*")
        ann.process.kill()
        ann.end()
        self.assertEqual(ann.output.count("not connected"), 1)

    def test_the_address_may_be_that_of_the_websocket(self):
        url = f"ws://127.0.0.1:{parley.port}"
        ann = self.begin("typed_client", url=url)
        ann.say("when does the shop open?")
        ann.sees("The shop opens at nine")
        self.assertEqual(ann.end(), 0, ann.output)
        lesson = self.begin("teaching_client", url=url)
        lesson.sees("Welcome!")
        self.assertEqual(lesson.end(), 0, lesson.output)

    def test_typed_events_decline_a_form(self):
        ann = self.begin("typed_client")
        ann.say("create an alarm")
        ann.sees(r"time\?")
        ann.say("", "when does the shop open?")
        ann.sees("The shop opens at nine")
        self.assertEqual(ann.end(), 0, ann.output)
        self.assertNotIn("Alarm set", ann.output)

    def test_typed_events_find_their_chat_again_with_the_open_form(self):
        first = self.begin("typed_client", "--session", "py-again")
        first.say("create an alarm")
        first.sees(r"time\?")
        first.process.kill()
        first.end()
        second = self.begin("typed_client", "--session", "py-again")
        second.sees(r"(?s)> create an alarm.*time\?|time\?.*> create an alarm")
        second.say(LATER)
        second.sees("Alarm set")
        self.assertEqual(second.end(), 0, second.output)

    def test_typed_events_over_lost_connections(self):
        proxy = commands.Proxy()
        self.addCleanup(proxy.close)
        ann = self.begin("typed_client", "--session", "py-cut", url=proxy.url)
        for number in range(1, 5):
            ann.say("when does the shop open?")
            ann.sees(r"(?s)" + r"Source: The shop.*" * number)
            proxy.cut()
        self.assertEqual(ann.end(), 0, ann.output)
        self.assertEqual(ann.output.count("Source: The shop"), 4, ann.output)
        self.assertNotIn("> ", ann.output)

    def test_typed_events_over_a_restart(self):
        ann = self.begin("typed_client", "--session", "py-restart")
        ann.say("create an alarm")
        ann.sees(r"time\?")
        parley.end()
        ann.say(LATER)
        parley.start()
        ann.sees("Alarm set")
        self.assertEqual(ann.end(), 0, ann.output)

    def test_ctrl_c_stops_an_answer_then_the_client(self):
        ann = self.begin("typed_client")
        ann.say("create an alarm")
        ann.sees(r"time\?")
        ann.process.send_signal(signal.SIGINT)
        ann.sees(r"\(stopped\)")
        ann.process.send_signal(signal.SIGINT)
        ann.process.wait(commands.WAIT_S)
        self.assertEqual(ann.end(), 130, ann.output)

    def test_a_lesson_by_hand(self):
        ann = self.begin("teaching_client")
        ann.sees(r"^\[chat\] Welcome")
        ann.say("teach me about india")
        ann.sees(r"\[teaching, India\] \*\*Indus Valley")
        ann.say("when does the shop open?")
        ann.sees(r"(?s)\[answering, India\] The shop opens at nine.*Hymns")
        self.assertEqual(ann.end(), 0, ann.output)

    def test_the_demo(self):
        ann = self.begin("teaching_client", "--demo", "--topic", "india", "--question", "when does the shop open?")
        self.assertEqual(ann.end(), 0, ann.output)
        self.assertRegex(ann.output, r"(?s)Welcome.*> teach me about india\n\[teaching, India\].*> when does .*The shop opens at nine.*> continue\n\[")

    def test_what_is_refused_ends_with_its_reason(self):
        for name in ("typed_client", "teaching_client"):
            ann = self.begin(name, token_="nonsense")
            self.assertEqual(ann.end(), 1)
            self.assertIn(f"{name}: refused: the token is not valid here", ann.output)

    def test_a_refused_message_fails_alone(self):
        for name in ("typed_client", "teaching_client"):
            ann = self.begin(name)
            ann.say("x" * 70000, "when does the shop open?")
            ann.sees("The shop opens at nine")
            self.assertEqual(ann.end(), 1, ann.output[-500:])
            self.assertIn("[413]", ann.output)


if __name__ == "__main__":
    unittest.main()
