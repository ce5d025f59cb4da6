"""An agent's view of one call. docs/clients.md shows its parts."""

import threading

import socketio

ANSWER_S = 10
PAUSE_S = 0.25


class CallClient:
    """Calls on_line and on_suggestion with each event of the call once, in order, over reconnects."""

    def __init__(self, url, token, call_id, on_line, on_suggestion, on_refused, transports=None):
        self.url, self.token, self.call_id, self.transports = url, token, call_id, transports
        self.on_line, self.on_suggestion, self.on_refused = on_line, on_suggestion, on_refused
        self.seq, self.subscribed, self.early = 0, False, []
        self.lock = threading.RLock()  # handlers run in threads of their own
        self.ended = threading.Event()
        self.gone = threading.Event()
        threading.Thread(target=self.run).start()

    # docs: connect
    def connect(self):
        self.io = socketio.Client(reconnection=False)
        self.io.on("connect", self.subscribe)
        self.io.on("disconnect", lambda *reason: self.gone.set())
        self.io.on("connect_error", self.refused)  # {"message": …, "data": …} from the server, or a text
        self.io.on("transcription:update", lambda event: self.take(event, self.on_line))
        self.io.on("ai:suggestion", lambda event: self.take(event, self.on_suggestion))
        self.io.connect(self.url, auth={"token": self.token}, transports=self.transports)
    # docs: end

    # docs: reconnect
    def run(self):
        # Over polling the client does not come back by itself after a server that stopped, so it is left to this loop.
        while not self.ended.wait(PAUSE_S):
            self.gone.clear()
            try:
                self.connect()
                self.gone.wait()
            except socketio.exceptions.ConnectionError:
                pass  # not there, or refused: see connect_error
    # docs: end

    def refused(self, reason):
        if isinstance(reason, dict) and "data" in reason:
            self.ended.set()
            self.on_refused(reason)

    def close(self):
        self.ended.set()
        self.gone.set()
        self.io.disconnect()

    # docs: subscribe
    def subscribe(self):
        request = {"call_id": self.call_id}
        with self.lock:
            self.subscribed = False
            if self.seq > 0:
                request["since_seq"] = self.seq  # after a reconnect: only what is missing
        self.io.emit("call:subscribe", request, callback=self.merge)

    def merge(self, answer):
        if not answer["ok"]:
            raise RuntimeError(answer["error"]["message"])
        with self.lock:
            for event in answer["transcript"]:
                self.on_line(event)
            for event in answer["suggestions"]:
                self.on_suggestion(event)
            self.seq, self.subscribed = answer["seq"], True
            early, self.early = self.early, []
            for event, consumer in early:
                self.take(event, consumer)

    def take(self, event, consumer):
        # Each event of a call has a number that grows by one. What overtakes the answer to call:subscribe waits for it.
        with self.lock:
            if not self.subscribed:
                self.early.append((event, consumer))
            elif event["seq"] > self.seq:
                self.seq = event["seq"]
                consumer(event)
    # docs: end

    # docs: feedback
    def feedback(self, doc_id, helpful):
        request = {"call_id": self.call_id, "doc_id": doc_id, "helpful": helpful}
        return self.io.call("doc:feedback", request, timeout=ANSWER_S)  # a repeat replaces the earlier answer
    # docs: end
