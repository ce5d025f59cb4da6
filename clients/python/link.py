"""One namespace of a Parley server, connected again whenever it is lost. Needs python-socketio 5 (python3-socketio)."""
import queue
import time

import socketio

ACK_S = 10
BUSY = {429, 502, 503, 504, 507}
MAX_LOST = 5


class Refused(Exception):
    """The server's no. code: as in HTTP; 0 if there was no answer."""

    def __init__(self, error):
        self.code = error.get("code", 0)
        field = f" ({error['field']})" if error.get("field") else ""
        super().__init__(f"{error.get('message', 'no reason given')}{field} [{self.code}]")


class Link:
    """For one thread. events: (name, payload) of what the server says, and ("disconnect", {}) after a lost connection."""

    def __init__(self, url, namespace, token, patience_s=60):
        self.url, self.namespace, self.token, self.patience_s = url, namespace, token, patience_s
        self.events = queue.Queue()
        self.answers = queue.Queue()
        self.client = None
        self.deadline = None  # of everything asked from now on, by time.monotonic()

    def ask(self, event, data):
        """The acknowledgement of an event, which is sent again after a lost connection and while the server is busy.
        In it "resent" says that an earlier attempt may have arrived."""
        lost, busy, since = 0, 0, time.monotonic()
        while True:
            answer = self._ask_once(event, data)
            if answer is None:
                lost += 1
                if lost == MAX_LOST:
                    raise Refused({"message": f"the connection was lost {lost} times while it was sent"})
                continue
            if answer.get("ok"):
                return {**answer, "resent": lost > 0}
            error = answer.get("error", {})
            pause_s = error.get("retry_after_ms", min(5000, 200 * 2**busy)) / 1000
            if error.get("code") not in BUSY or time.monotonic() + pause_s - since > self.patience_s:
                raise Refused(error)
            busy += 1
            self._pause(pause_s)

    def close(self):
        if self.client:
            self.client.disconnect()

    def _pause(self, seconds):
        if self.deadline and time.monotonic() + seconds > self.deadline:
            raise Refused({"message": "no answer from the server"})
        time.sleep(seconds)

    def _ask_once(self, event, data):
        if not (self.client and self.client.connected):
            self.client = self._connect()
        self.answers = answers = queue.Queue()
        try:
            self.client.emit(event, data, namespace=self.namespace, callback=answers.put)
            return answers.get(timeout=ACK_S)
        except (queue.Empty, socketio.exceptions.SocketIOError):
            return None

    def _connect(self):
        pause_s = 0.25
        while True:
            client = socketio.Client(reconnection=False, handle_sigint=False)
            refusal = self._try_to_connect(client)
            if refusal is None:
                return client
            client.disconnect()
            error = refusal.get("data") or {} if isinstance(refusal, dict) else None  # text: there is no server
            if error is not None and error.get("code") not in BUSY:
                raise Refused({"message": refusal.get("message"), **error})
            self._pause(pause_s)
            pause_s = min(3, 2 * pause_s)

    def _try_to_connect(self, client):
        """None, or why there is no connection."""
        outcome = queue.Queue()
        client.on("connect", lambda: outcome.put(None), namespace=self.namespace)
        client.on("connect_error", outcome.put, namespace=self.namespace)
        client.on("disconnect", self._on_disconnect, namespace=self.namespace)
        client.on("*", lambda name, data=None: self.events.put((name, data)), namespace=self.namespace)
        try:
            client.connect(self.url, auth={"token": self.token}, namespaces=[self.namespace], wait=False)
            return outcome.get(timeout=ACK_S)
        except (queue.Empty, socketio.exceptions.ConnectionError) as error:
            return str(error)

    def _on_disconnect(self, *_):
        self.answers.put(None)
        self.events.put(("disconnect", {}))
