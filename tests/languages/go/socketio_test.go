package languages

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zishang520/socket.io/clients/engine/v3/transports"
	"github.com/zishang520/socket.io/clients/socket/v3"
	"github.com/zishang520/socket.io/v3/pkg/types"
)

const (
	patience   = 60 * time.Second
	count      = 300
	largeBytes = 5_000_000
)

type event struct {
	name string
	args []any
}

// A socket whose events are waited for one by one.
type client struct {
	t      *testing.T
	io     *socket.Socket
	events chan event
}

func optionsFor(transport string) *socket.Options {
	options := socket.DefaultOptions()
	options.SetForceNew(true)
	options.SetAutoConnect(false)
	options.SetReconnectionDelay(50)
	options.SetReconnectionDelayMax(200)
	switch transport {
	case "polling":
		options.SetTransports(types.NewSet(transports.Polling))
	case "websocket":
		options.SetTransports(types.NewSet(transports.WebSocket))
	default:
		options.SetTransports(types.NewSet(transports.Polling, transports.WebSocket))
	}
	return options
}

// Records these events, and connect, connect_error and disconnect.
func dial(t *testing.T, url string, options *socket.Options, names ...string) *client {
	t.Helper()
	io, err := socket.Connect(url, options)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, io: io, events: make(chan event, 1000)}
	for _, name := range append(names, "connect", "connect_error", "disconnect") {
		io.On(types.EventName(name), func(args ...any) { c.events <- event{name, args} })
	}
	io.Connect()
	t.Cleanup(func() { io.Disconnect() })
	return c
}

func (c *client) next(wanted string) event {
	c.t.Helper()
	select {
	case got := <-c.events:
		return got
	case <-time.After(patience):
		c.t.Fatalf("not in time: %s", wanted)
		return event{}
	}
}

// The arguments of the next event, which must have that name.
func (c *client) expect(name string) []any {
	c.t.Helper()
	got := c.next(name)
	if got.name != name {
		c.t.Fatalf("%s %v instead of %s", got.name, got.args, name)
	}
	return got.args
}

// The arguments of the next event of that name; others are passed over.
func (c *client) await(name string) []any {
	c.t.Helper()
	for {
		if got := c.next(name); got.name == name {
			return got.args
		}
	}
}

// The arguments of the server's acknowledgement.
func (c *client) call(name string, args ...any) []any {
	c.t.Helper()
	type answer struct {
		args []any
		err  error
	}
	answers := make(chan answer, 1)
	c.io.EmitWithAck(name, args...)(func(args []any, err error) { answers <- answer{args, err} })
	select {
	case got := <-answers:
		if got.err != nil {
			c.t.Fatalf("%s: %v", name, got.err)
		}
		return got.args
	case <-time.After(patience):
		c.t.Fatalf("no acknowledgement of %s", name)
		return nil
	}
}

// Over polling alone the client ends its connection, also with Node's server, instead of sending binary.
func eachTransportThatTakesBinary(t *testing.T, test func(t *testing.T, transport string)) {
	for _, transport := range []string{"websocket", "upgrade"} {
		t.Run(transport, func(t *testing.T) { test(t, transport) })
	}
}

func eachTransport(t *testing.T, test func(t *testing.T, transport string)) {
	for _, transport := range []string{"polling", "websocket", "upgrade"} {
		t.Run(transport, func(t *testing.T) { test(t, transport) })
	}
}

func noise(size int) []byte {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + i/256)
	}
	return data
}

func bytesOf(t *testing.T, value any) []byte {
	t.Helper()
	switch value := value.(type) {
	case []byte:
		return value
	case types.BufferInterface:
		return value.Bytes()
	}
	t.Fatalf("bytes, not %T", value)
	return nil
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%.200v instead of %.200v", got, want)
	}
}

func TestTextIsEchoedAndAcknowledged(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		options := optionsFor(transport)
		options.SetAuth(map[string]any{"user": "ü"})
		c := dial(t, newApp(t).url, options, "echo-back")
		c.expect("connect")
		me := c.call("whoami")[0].(map[string]any)
		equal(t, me["id"], c.io.Id())
		equal(t, me["auth"], map[string]any{"user": "ü"})
		for _, value := range []any{"", "Ä てすと 🦔", -1.5, true, map[string]any{"a": []any{1.0, nil}}, strings.Repeat("x", 300_000)} {
			equal(t, c.call("echo", value), []any{value})
			c.io.Emit("echo", value, 1)
			equal(t, c.expect("echo-back"), []any{value, 1.0})
		}
	})
}

func TestBinaryIsEchoedAndAcknowledged(t *testing.T) {
	eachTransportThatTakesBinary(t, func(t *testing.T, transport string) {
		c := dial(t, newApp(t).url, optionsFor(transport), "echo-back")
		c.expect("connect")
		for _, size := range []int{1, 2, 3, 57, 58, 200, 100_000} {
			if !bytes.Equal(bytesOf(t, c.call("echo", noise(size))[0]), noise(size)) {
				t.Fatalf("%d bytes by acknowledgement", size)
			}
			c.io.Emit("echo", "before", noise(size))
			if !bytes.Equal(bytesOf(t, c.expect("echo-back")[1]), noise(size)) {
				t.Fatalf("%d bytes by event", size)
			}
		}
	})
}

func TestFiveMegabytesGoBothWays(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		c := dial(t, newApp(t, "--max-payload", "20000000").url, optionsFor(transport))
		c.expect("connect")
		text := "é" + strings.Repeat("y", largeBytes)
		if c.call("echo", text)[0] != text {
			t.Fatal("text")
		}
		if transport != "polling" && !bytes.Equal(bytesOf(t, c.call("echo", noise(largeBytes))[0]), noise(largeBytes)) {
			t.Fatal("bytes")
		}
	})
}

func TestEventsComeInOrder(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		c := dial(t, newApp(t).url, optionsFor(transport), "tick")
		c.expect("connect")
		c.io.Emit("push", count, "tick")
		for i := range count {
			equal(t, c.expect("tick"), []any{float64(i)})
		}
	})
}

func TestTheServerAsks(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		c := dial(t, newApp(t).url, optionsFor(transport))
		c.expect("connect")
		c.io.On("question", func(args ...any) {
			args[len(args)-1].(func([]any, error))([]any{fmt.Sprint("got ", args[0])}, nil)
		})
		equal(t, c.call("ask", "question", 41), []any{map[string]any{"answer": "got 41"}})
	})
}

func TestIsRefusedWithData(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		options := optionsFor(transport)
		options.SetAuth(map[string]any{"token": "wrong"})
		c := dial(t, newApp(t).url+"/auth", options)
		refusal := c.expect("connect_error")[0].(*types.ExtendedError)
		equal(t, refusal.Error(), "not authorized")
		equal(t, refusal.Data, map[string]any{"code": 401.0})
	})
}

func TestTheServerDisconnects(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		c := dial(t, newApp(t).url, optionsFor(transport))
		c.expect("connect")
		c.io.Emit("bye", false)
		equal(t, c.expect("disconnect")[0], "io server disconnect")
		c.io.Connect()
		c.expect("connect")
	})
}

func TestComesBackWhenTheTransportDrops(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		c := dial(t, newApp(t).url, optionsFor(transport))
		c.expect("connect")
		id := c.io.Id()
		c.io.Emit("drop-transport")
		c.await("disconnect")
		c.await("connect")
		if c.io.Id() == id {
			t.Fatal("the same id")
		}
		equal(t, c.call("echo", 1), []any{1.0})
	})
}

func TestComesBackAfterARestart(t *testing.T) {
	eachTransport(t, func(t *testing.T, transport string) {
		s := newApp(t)
		options := optionsFor(transport)
		options.SetTimeout(5 * time.Second) // only then does it notice that a WebSocket was refused
		c := dial(t, s.url, options, "echo-back")
		c.expect("connect")
		equal(t, c.call("echo", 1), []any{1.0})
		s.down()
		c.await("disconnect")
		c.io.Emit("echo", "said while it was away")
		s.up()
		c.await("connect")
		equal(t, c.await("echo-back"), []any{"said while it was away"})
	})
}
