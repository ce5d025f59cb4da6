//! The call client against parley: snapshot, lines, suggestion, feedback, a restart and what was missed meanwhile.
use crate::call_client::{call, connect, first, Call, CallEvent};
use crate::fixture::Stage;
use futures_util::FutureExt;
use rust_socketio::asynchronous::{Client, ClientBuilder};
use rust_socketio::{Event, Payload, TransportType};
use serde_json::{json, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver};
use tokio::time::timeout;

const WAIT: Duration = Duration::from_secs(60);

async fn next<T>(events: &mut UnboundedReceiver<T>) -> T {
    timeout(WAIT, events.recv()).await.expect("in time").expect("an event")
}

async fn line(events: &mut UnboundedReceiver<CallEvent>) -> String {
    loop {
        match next(events).await {
            CallEvent::Line(line) => return line["text"].as_str().unwrap().to_string(),
            CallEvent::Refused(reason) => eprintln!("refused: {reason}"), // while the server is away
            other => panic!("a line, not {other:?}"),
        }
    }
}

async fn feed(stage: &Stage) -> Client {
    let (sender, mut connected) = unbounded_channel();
    let client = ClientBuilder::new(stage.url.clone())
        .namespace("/feed")
        .auth(json!({ "token": stage.feed_token }))
        .transport_type(TransportType::Websocket)
        .reconnect(false)
        .on(Event::Connect, move |_, _| {
            let _ = sender.send(());
            async {}.boxed()
        })
        .connect()
        .await
        .unwrap();
    next(&mut connected).await;
    client
}

async fn ask(feed: &Client, event: &str, request: Value) {
    let (sender, mut answers) = unbounded_channel();
    let take = move |payload: Payload, _: Client| {
        let _ = sender.send(first(payload));
        async {}.boxed()
    };
    feed.emit_with_ack(event, request, WAIT, take).await.unwrap();
    let answer = next(&mut answers).await;
    assert_eq!(answer["ok"], json!(true), "{event}: {answer}");
}

async fn say(feed: &Client, text: &str) {
    ask(feed, "transcription:update", json!({"call_id": "c1", "speaker": "customer", "text": text})).await;
}

async fn follow(transport: TransportType) {
    let mut stage = Stage::new(&["parley"]);
    let producer = feed(&stage).await;
    ask(&producer, "call:start", json!({"call_id": "c1"})).await;
    say(&producer, "hello").await;
    let (watched, mut events): (Arc<Call>, _) = call("c1");
    let client = connect(&watched, &stage.url, &stage.agent_token, transport).await.unwrap();
    assert_eq!(line(&mut events).await, "hello");
    say(&producer, "I got the wrong size, I want to return it").await;
    assert_eq!(line(&mut events).await, "I got the wrong size, I want to return it");
    let CallEvent::Suggestion(suggestion) = next(&mut events).await else { panic!("no suggestion") };
    let document = suggestion["documents"][0]["id"].as_str().unwrap();
    assert_eq!(document, "product-defect.return-due-to-size");
    watched.feedback(&client, document, true).await.unwrap();
    let CallEvent::Feedback(answer) = next(&mut events).await else { panic!("no answer") };
    assert_eq!(answer["ok"], json!(true));

    stage.down();
    stage.up();
    let producer = feed(&stage).await;
    ask(&producer, "call:start", json!({"call_id": "c1"})).await;
    say(&producer, "are you still there?").await;
    assert_eq!(line(&mut events).await, "are you still there?");
    let _ = client.disconnect().await;
    let _ = producer.disconnect().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_a_call_over_a_restart_by_polling() {
    follow(TransportType::Polling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_a_call_over_a_restart_by_websocket() {
    follow(TransportType::Websocket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_a_call_over_a_restart_with_an_upgrade() {
    follow(TransportType::Any).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn is_refused_with_a_reason() {
    let stage = Stage::new(&["parley"]);
    let (watched, mut events) = call("c1");
    let client = connect(&watched, &stage.url, "not a token", TransportType::Any).await.unwrap();
    let CallEvent::Refused(reason) = next(&mut events).await else { panic!("not refused") };
    assert!(reason.contains("\"code\":401"), "{reason}");
    let _ = client.disconnect().await;
}
