// Package languages tries the Go client of Socket.IO on Parley.
package languages

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A server of the test's own, by ../stage.py.
type stage struct {
	url, agentToken, feedToken string
	t                          *testing.T
	process                    *exec.Cmd
	input                      io.WriteCloser
	output                     *bufio.Reader
}

// The test fails if the server dies or does not end as it should.
func newStage(t *testing.T, arguments ...string) *stage {
	t.Helper()
	s := &stage{t: t, process: exec.Command("/usr/bin/python3", append([]string{"../stage.py"}, arguments...)...)}
	s.process.Stderr = os.Stderr
	s.input, _ = s.process.StdinPipe()
	output, _ := s.process.StdoutPipe()
	s.output = bufio.NewReader(output)
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.input.Close()
		if err := s.process.Wait(); err != nil {
			t.Errorf("the server did not end well: %v", err)
		}
	})
	s.awaitReady()
	return s
}

// Over polling the client sends nothing while a poll of its own waits: the server's pings end those, so they are frequent.
func newApp(t *testing.T, more ...string) *stage {
	return newStage(t, append([]string{"conformance", "--profile", "app", "--ping-interval", "300", "--ping-timeout", "5000"}, more...)...)
}

func newParley(t *testing.T) *stage {
	return newStage(t, "parley", "--ping-interval-ms", "300", "--ping-timeout-ms", "5000")
}

func (s *stage) awaitReady() {
	words := strings.Fields(s.line())
	if len(words) != 5 || words[0] != "READY" {
		s.t.Fatal("the server did not start")
	}
	s.url, s.agentToken, s.feedToken = words[1], words[2], words[3]
}

func (s *stage) line() string {
	line, _ := s.output.ReadString('\n')
	return strings.TrimSpace(line)
}

func (s *stage) down() {
	io.WriteString(s.input, "down\n")
	if s.line() != "DOWN" {
		s.t.Fatal("the server did not end")
	}
}

func (s *stage) up() {
	io.WriteString(s.input, "up\n")
	s.awaitReady()
}
