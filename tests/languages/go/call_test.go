package languages

import (
	"testing"
	"time"

	"github.com/zishang520/socket.io/v3/pkg/types"
)

func next[T any](t *testing.T, events chan T) T {
	t.Helper()
	select {
	case event := <-events:
		return event
	case <-time.After(patience):
		t.Fatal("not in time")
		panic("unreachable")
	}
}

func (c *client) ask(event string, request map[string]any) {
	c.t.Helper()
	if answer := c.call(event, request)[0].(map[string]any); answer["ok"] != true {
		c.t.Fatalf("%s: %v", event, answer)
	}
}

func (c *client) say(text string) {
	c.t.Helper()
	c.ask("transcription:update", map[string]any{"call_id": "c1", "speaker": "customer", "text": text})
}

func dialFeed(t *testing.T, s *stage) *client {
	options := optionsFor("websocket")
	options.SetTimeout(5 * time.Second) // at times the client hangs when it connects; it tries again then
	options.SetAuth(map[string]any{"token": s.feedToken})
	feed := dial(t, s.url+"/feed", options)
	feed.await("connect")
	feed.ask("call:start", map[string]any{"call_id": "c1"})
	return feed
}

type watcher struct {
	CallClient
	lines, suggestions chan map[string]any
	refusals           chan any
}

func watch(t *testing.T, s *stage, token, transport string) *watcher {
	w := &watcher{lines: make(chan map[string]any, 100), suggestions: make(chan map[string]any, 100), refusals: make(chan any, 100)}
	w.OnLine = func(event map[string]any) { w.lines <- event }
	w.OnSuggestion = func(event map[string]any) { w.suggestions <- event }
	w.OnRefused = func(reason any) { w.refusals <- reason }
	if err := w.Connect(s.url, token, "c1", optionsFor(transport)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.io.Disconnect() })
	return w
}

func TestFollowsACallOverARestart(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := newParley(t)
		feed := dialFeed(t, s)
		feed.say("hello")
		w := watch(t, s, s.agentToken, transport)
		equal(t, next(t, w.lines)["text"], "hello")
		feed.say("I got the wrong size, I want to return it")
		equal(t, next(t, w.lines)["text"], "I got the wrong size, I want to return it")
		document := next(t, w.suggestions)["documents"].([]any)[0].(map[string]any)["id"]
		equal(t, document, "product-defect.return-due-to-size")
		answers := make(chan map[string]any, 1)
		w.Feedback(document.(string), true, func(answer map[string]any, err error) { answers <- answer })
		equal(t, next(t, answers)["ok"], true)
		s.down()
		s.up()
		dialFeed(t, s).say("are you still there?")
		equal(t, next(t, w.lines)["text"], "are you still there?")
		equal(t, len(w.lines), 0)
	})
}

func TestIsRefusedWithAReason(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		w := watch(t, newParley(t), "not a token", transport)
		refusal := next(t, w.refusals).(*types.ExtendedError)
		equal(t, refusal.Data.(map[string]any)["code"], 401.0)
	})
}
