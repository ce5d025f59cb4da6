//! Over each transport against the conformance server's profile app.
use crate::fixture::Stage;
use futures_util::FutureExt;
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::{json, Value};
use std::time::Duration;
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};
use tokio::time::timeout;

const WAIT: Duration = Duration::from_secs(60);
const COUNT: u64 = 300;
const LARGE_BYTES: usize = 5_000_000;
const TRANSPORTS: [(&str, TransportType); 3] = [
    ("polling", TransportType::Polling),
    ("websocket", TransportType::Websocket),
    ("upgrade", TransportType::WebsocketUpgrade),
];

type Events = UnboundedReceiver<(String, Payload)>;

/// A client that records `open`, `error`, `close` and every event.
async fn connect(stage: &Stage, transport: &TransportType, namespace: &str, auth: Value) -> (Client, Events) {
    let (sender, events) = unbounded_channel();
    let mut builder = ClientBuilder::new(stage.url.clone())
        .namespace(namespace)
        .auth(auth)
        .transport_type(transport.clone())
        .reconnect_delay(50, 200);
    for event in [Event::Connect, Event::Error, Event::Close] {
        let sender = sender.clone();
        let name = event.as_str().to_string();
        builder = builder.on(event, move |payload, _| {
            let _ = sender.send((name.clone(), payload));
            async {}.boxed()
        });
    }
    let builder = builder.on_any(move |event, payload, _| {
        let _ = sender.send((event.to_string(), payload));
        async {}.boxed()
    });
    (builder.connect().await.expect("a connection"), events)
}

async fn expect(events: &mut Events, name: &str) -> Payload {
    let (got, payload) = timeout(WAIT, events.recv()).await.expect(name).expect(name);
    assert_eq!(got, name, "{:.300}", format!("{payload:?}"));
    payload
}

async fn until(events: &mut Events, name: &str) -> Payload {
    loop {
        let (got, payload) = timeout(WAIT, events.recv()).await.expect(name).expect(name);
        if got == name {
            return payload;
        }
    }
}

async fn call(client: &Client, event: &str, data: impl Into<Payload>) -> Payload {
    let (sender, mut answer) = unbounded_channel();
    let take = move |payload: Payload, _: Client| {
        let _ = sender.send(payload);
        async {}.boxed()
    };
    client.emit_with_ack(event, data, WAIT, take).await.unwrap();
    timeout(WAIT, answer.recv()).await.expect("an acknowledgement").unwrap()
}

/// The one value of a text payload.
fn only(payload: Payload) -> Value {
    match payload {
        Payload::Text(mut values) if values.len() == 1 => match values.remove(0) {
            Value::Array(mut inner) if inner.len() == 1 => inner.remove(0),
            value => value,
        },
        other => panic!("one value, not {other:?}"),
    }
}

/// Without the byte 30, where the client cuts what comes over a WebSocket as if it were a payload.
fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|i| (31 + i % 225) as u8).collect()
}

async fn each_transport<F: std::future::Future<Output = ()>>(stage: &Stage, test: impl Fn(Client, Events) -> F) {
    for (name, transport) in &TRANSPORTS {
        eprintln!("over {name}"); // of a test that fails, the last one is to blame
        let (client, mut events) = connect(stage, transport, "/", json!({"user": "ü"})).await;
        expect(&mut events, "connect").await;
        test(client.clone(), events).await;
        let _ = client.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_echoed_and_acknowledged() {
    each_transport(&Stage::app(&[]), |client, mut events| async move {
        let me = only(call(&client, "whoami", Payload::Text(vec![])).await);
        assert_eq!(me["auth"], json!({"user": "ü"}));
        for value in [json!({"a": [1, {"b": null}]}), json!("Ä てすと 🦔"), json!("x".repeat(5_000)), json!(-1.5)] {
            assert_eq!(only(call(&client, "echo", value.clone()).await), value);
            client.emit("echo", value.clone()).await.unwrap();
            assert_eq!(only(expect(&mut events, "echo-back").await), value);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_is_echoed() {
    each_transport(&Stage::app(&[]), |client, mut events| async move {
        for size in [1, 2, 3, 57, 58, 200, 5_000] {
            eprintln!("{size} bytes");
            client.emit("echo", bytes(size)).await.unwrap();
            let same = expect(&mut events, "echo-back").await == Payload::from(bytes(size));
            assert!(same, "{size} bytes");
        }
    })
    .await;
}

/// Not over polling: there the client takes each piece that it reads of an answer for a whole one.
#[tokio::test(flavor = "multi_thread")]
async fn five_megabytes_go_both_ways() {
    let stage = Stage::app(&["--max-payload", "20000000"]);
    for (name, transport) in &TRANSPORTS[1..] {
        eprintln!("over {name}");
        let (client, mut events) = connect(&stage, transport, "/", json!({})).await;
        expect(&mut events, "connect").await;
        let text = json!("y".repeat(LARGE_BYTES));
        assert!(only(call(&client, "echo", text.clone()).await) == text);
        client.emit("echo", bytes(LARGE_BYTES)).await.unwrap();
        assert!(expect(&mut events, "echo-back").await == Payload::from(bytes(LARGE_BYTES)));
        let _ = client.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_order() {
    each_transport(&Stage::app(&[]), |client, mut events| async move {
        client.emit("push", vec![json!(COUNT), json!("tick")]).await.unwrap();
        for i in 0..COUNT {
            assert_eq!(only(expect(&mut events, "tick").await), json!(i));
        }
    })
    .await;
}

/// The client hands the question to the application, and has no way to answer it: docs/clients.md says so.
#[tokio::test(flavor = "multi_thread")]
async fn questions_of_the_server_arrive_and_go_unanswered() {
    each_transport(&Stage::app(&[]), |client, mut events| async move {
        let answer = only(call(&client, "ask", vec![json!("question"), json!(41)]).await);
        assert_eq!(answer, json!({"error": "timeout"}));
        assert_eq!(only(expect(&mut events, "question").await), json!(41));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_refused_with_data() {
    let stage = Stage::app(&[]);
    for (name, transport) in &TRANSPORTS {
        eprintln!("over {name}");
        let (client, mut events) = connect(&stage, transport, "/auth", json!({"token": "wrong"})).await;
        let reason = only(expect(&mut events, "error").await);
        let reason = reason.as_str().unwrap();
        assert!(reason.ends_with(r#"{"message":"not authorized","data":{"code":401}}"#), "{reason}");
        let _ = client.disconnect().await;
        let (client, mut events) = connect(&stage, transport, "/auth", json!({"token": "abc"})).await;
        expect(&mut events, "connect").await;
        let _ = client.disconnect().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_when_the_transport_drops() {
    each_transport(&Stage::app(&[]), |client, mut events| async move {
        client.emit("drop-transport", Payload::Text(vec![])).await.unwrap();
        until(&mut events, "connect").await;
        assert_eq!(only(call(&client, "echo", json!(1)).await), json!(1));
    })
    .await;
}
