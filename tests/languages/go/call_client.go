package languages

import (
	"sync"
	"time"

	"github.com/zishang520/socket.io/clients/socket/v3"
)

const answerTime = 10 * time.Second

// CallClient is an agent's view of one call: each line and suggestion of it once, in order, over reconnects.
// docs/clients.md shows its parts.
type CallClient struct {
	OnLine, OnSuggestion func(event map[string]any)
	OnRefused            func(reason any)

	callID     string
	io         *socket.Socket
	mutex      sync.Mutex
	seq        float64
	subscribed bool
	early      []func()
}

// docs: connect

// Connect begins to connect; OnRefused hears of it when the server says no, and while there is no server.
func (c *CallClient) Connect(url, token, callID string, options *socket.Options) error {
	options.SetAuth(map[string]any{"token": token})
	options.SetAutoConnect(false)       // not before the handlers are there
	options.SetTimeout(5 * time.Second) // only then does it notice that a WebSocket was refused
	options.SetReconnectionDelay(250)
	options.SetReconnectionDelayMax(3000)
	io, err := socket.Connect(url, options)
	if err != nil {
		return err
	}
	c.io, c.callID = io, callID
	io.On("connect", func(...any) { c.subscribe() })
	io.On("connect_error", func(reason ...any) { c.OnRefused(reason[0]) })
	io.On("disconnect", c.ended)
	io.On("transcription:update", func(args ...any) { c.take(args[0].(map[string]any), c.OnLine) })
	io.On("ai:suggestion", func(args ...any) { c.take(args[0].(map[string]any), c.OnSuggestion) })
	io.Connect()
	return nil
}

// docs: end

// docs: reconnect
func (c *CallClient) ended(reason ...any) {
	// The client comes back by itself, also to a server that restarts, unless the server ended this very connection.
	if reason[0] == "io server disconnect" {
		c.OnRefused(reason[0])
	}
}

// docs: end

// docs: subscribe
func (c *CallClient) subscribe() {
	request := map[string]any{"call_id": c.callID}
	c.mutex.Lock()
	c.subscribed = false
	if c.seq > 0 {
		request["since_seq"] = c.seq // after a reconnect: only what is missing
	}
	c.mutex.Unlock()
	c.io.Timeout(answerTime).EmitWithAck("call:subscribe", request)(func(args []any, err error) {
		if err == nil {
			c.merge(args[0].(map[string]any))
		} else if c.io.Connected() {
			c.subscribe()
		}
	})
}

func (c *CallClient) merge(answer map[string]any) {
	if answer["ok"] != true {
		c.OnRefused(answer["error"])
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, line := range answer["transcript"].([]any) {
		c.OnLine(line.(map[string]any))
	}
	for _, suggestion := range answer["suggestions"].([]any) {
		c.OnSuggestion(suggestion.(map[string]any))
	}
	c.seq, c.subscribed = answer["seq"].(float64), true
	for _, event := range c.early {
		event()
	}
	c.early = nil
}

// Each event of a call has a number that grows by one. What overtakes the answer to call:subscribe waits for it.
func (c *CallClient) take(event map[string]any, consumer func(map[string]any)) {
	inTurn := func() {
		if seq := event["seq"].(float64); seq > c.seq {
			c.seq = seq
			consumer(event)
		}
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.subscribed {
		inTurn()
	} else {
		c.early = append(c.early, inTurn)
	}
}

// docs: end

// docs: feedback

// Feedback says whether a document helped; a repeat replaces the earlier answer.
func (c *CallClient) Feedback(documentID string, helpful bool, answered func(answer map[string]any, err error)) {
	request := map[string]any{"call_id": c.callID, "doc_id": documentID, "helpful": helpful}
	c.io.Timeout(answerTime).EmitWithAck("doc:feedback", request)(func(args []any, err error) {
		if err != nil {
			answered(nil, err)
		} else {
			answered(args[0].(map[string]any), nil)
		}
	})
}

// docs: end
