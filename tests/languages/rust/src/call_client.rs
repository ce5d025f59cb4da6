//! An agent's view of one call. docs/clients.md shows its parts.
use futures_util::FutureExt;
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Error, Event, Payload, TransportType};
use serde_json::{json, Value};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver, UnboundedSender};

const ANSWER: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub enum CallEvent {
    /// Each line and suggestion of the call once, in order, over reconnects.
    Line(Value),
    Suggestion(Value),
    /// The answer to a feedback.
    Feedback(Value),
    /// What the server said when it refused the connection or the call.
    Refused(String),
}

type Wrap = fn(Value) -> CallEvent;

struct State {
    seq: u64,
    subscribed: bool,
    early: Vec<(Value, Wrap)>,
}

pub struct Call {
    call_id: String,
    state: Mutex<State>,
    events: UnboundedSender<CallEvent>,
}

pub fn call(call_id: &str) -> (Arc<Call>, UnboundedReceiver<CallEvent>) {
    let (events, receiver) = unbounded_channel();
    let state = Mutex::new(State { seq: 0, subscribed: false, early: Vec::new() });
    (Arc::new(Call { call_id: call_id.to_string(), state, events }), receiver)
}

/// The first argument of an event, or of an acknowledgement, whose arguments are in an array of their own.
pub fn first(payload: Payload) -> Value {
    match payload {
        Payload::Text(mut values) if !values.is_empty() => match values.swap_remove(0) {
            Value::Array(mut inner) if !inner.is_empty() => inner.swap_remove(0),
            value => value,
        },
        _ => Value::Null,
    }
}

// docs: connect
pub async fn connect(call: &Arc<Call>, url: &str, token: &str, transport: TransportType) -> Result<Client, Error> {
    let (on_connect, on_line, on_suggestion, on_error) = (call.clone(), call.clone(), call.clone(), call.clone());
    ClientBuilder::new(url)
        .auth(json!({ "token": token }))
        .transport_type(transport)
        .reconnect_delay(250, 3000) // it comes back by itself, also to a server that restarts
        .on(Event::Connect, move |_, client| on_connect.clone().subscribe(client).boxed())
        .on("transcription:update", move |payload, _| {
            on_line.take(first(payload), CallEvent::Line);
            async {}.boxed()
        })
        .on("ai:suggestion", move |payload, _| {
            on_suggestion.take(first(payload), CallEvent::Suggestion);
            async {}.boxed()
        })
        .on(Event::Error, move |payload, _| {
            on_error.refused(first(payload)); // a text; the server's message and data stand in it as JSON
            async {}.boxed()
        })
        .connect()
        .await
}
// docs: end

impl Call {
    // docs: subscribe
    async fn subscribe(self: Arc<Self>, client: Client) {
        let mut request = json!({ "call_id": self.call_id });
        {
            let mut state = self.state.lock().unwrap();
            state.subscribed = false;
            if state.seq > 0 {
                request["since_seq"] = json!(state.seq); // after a reconnect: only what is missing
            }
        }
        let merge = move |payload: Payload, _: Client| {
            self.merge(first(payload));
            async {}.boxed()
        };
        let _ = client.emit_with_ack("call:subscribe", request, ANSWER, merge).await;
    }

    fn merge(&self, answer: Value) {
        if answer["ok"] != json!(true) {
            return self.refused(answer["error"]["message"].clone());
        }
        let mut state = self.state.lock().unwrap();
        for line in answer["transcript"].as_array().unwrap_or(&Vec::new()) {
            let _ = self.events.send(CallEvent::Line(line.clone()));
        }
        for suggestion in answer["suggestions"].as_array().unwrap_or(&Vec::new()) {
            let _ = self.events.send(CallEvent::Suggestion(suggestion.clone()));
        }
        state.seq = answer["seq"].as_u64().unwrap_or(0);
        state.subscribed = true;
        for (event, wrap) in std::mem::take(&mut state.early) {
            self.take_in_turn(&mut state, event, wrap);
        }
    }

    /// Each event of a call has a number that grows by one. What overtakes the answer to call:subscribe waits for it.
    fn take(&self, event: Value, wrap: Wrap) {
        let mut state = self.state.lock().unwrap();
        if state.subscribed {
            self.take_in_turn(&mut state, event, wrap);
        } else {
            state.early.push((event, wrap));
        }
    }

    fn take_in_turn(&self, state: &mut State, event: Value, wrap: Wrap) {
        let seq = event["seq"].as_u64().unwrap_or(0);
        if seq > state.seq {
            state.seq = seq;
            let _ = self.events.send(wrap(event));
        }
    }
    // docs: end

    // docs: feedback
    pub async fn feedback(self: &Arc<Self>, client: &Client, doc_id: &str, helpful: bool) -> Result<(), Error> {
        let request = json!({ "call_id": self.call_id, "doc_id": doc_id, "helpful": helpful });
        let events = self.events.clone();
        let answered = move |payload: Payload, _: Client| {
            let _ = events.send(CallEvent::Feedback(first(payload)));
            async {}.boxed()
        };
        client.emit_with_ack("doc:feedback", request, ANSWER, answered).await // a repeat replaces the earlier answer
    }
    // docs: end

    fn refused(&self, reason: Value) {
        let text = reason.as_str().map_or_else(|| reason.to_string(), str::to_string);
        let _ = self.events.send(CallEvent::Refused(text));
    }
}
