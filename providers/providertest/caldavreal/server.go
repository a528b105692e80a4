// Package caldavreal runs real CalDAV servers for tests: Radicale and Xandikos,
// as the distribution packages them. Each test gets a process of its own, on a
// free port of the loopback interface, with a folder of its own, and the process
// ends with the test.
package caldavreal

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is a running server with one user.
type Server struct {
	URL                string
	Username, Password string
	home               string
	fill               func(t testing.TB, calendar string, objects map[string]string)
}

const (
	username = "alice@example.com"
	password = "secret"
	// patience is for a server to come up on a busy machine.
	patience = 60 * time.Second
)

// Radicale starts a Radicale.
func Radicale(t testing.TB) *Server {
	t.Helper()
	folder := t.TempDir()
	users := filepath.Join(folder, "users")
	if err := os.WriteFile(users, []byte(username+":"+password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "/"+username+"/", func(port string) *exec.Cmd {
		return exec.Command("radicale", "-C", "", "--server-hosts", "127.0.0.1:"+port,
			"--auth-type", "htpasswd", "--auth-htpasswd-filename", users,
			"--auth-htpasswd-encryption", "plain", "--auth-delay", "0",
			"--server-max-connections", "32",
			"--storage-filesystem-folder", filepath.Join(folder, "collections"))
	})
	s.fill = s.putWhole
	return s
}

// Xandikos starts a Xandikos. It asks for no password.
func Xandikos(t testing.TB) *Server {
	t.Helper()
	folder := t.TempDir()
	s := start(t, "/alice/calendars/", func(port string) *exec.Cmd {
		return exec.Command("xandikos", "-d", folder, "--defaults", "--current-user-principal", "/alice/",
			"-l", "127.0.0.1", "-p", port)
	})
	s.fill = func(t testing.TB, calendar string, objects map[string]string) {
		t.Helper()
		commit(t, filepath.Join(folder, s.home, calendar), objects)
	}
	return s
}

// start runs the command on a free port. Another process can take the port
// before the server does, so it tries again.
func start(t testing.TB, home string, command func(port string) *exec.Cmd) *Server {
	t.Helper()
	var said string
	for range 3 {
		port := freePort(t)
		s := &Server{URL: "http://127.0.0.1:" + port + "/", Username: username, Password: password, home: home}
		ok := false
		if ok, said = s.run(t, command(port)); ok {
			return s
		}
	}
	t.Fatalf("the server does not start; is it installed? %s", said)
	return nil
}

func (s *Server) run(t testing.TB, cmd *exec.Cmd) (ok bool, said string) {
	t.Helper()
	var output lockedBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return false, err.Error()
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	deadline := time.After(patience)
	for {
		select {
		case <-ended:
			return false, output.String()
		case <-deadline:
			return false, "no answer in time: " + output.String()
		case <-time.After(50 * time.Millisecond):
		}
		if resp, err := http.Get(s.URL); err == nil {
			_ = resp.Body.Close()
			return true, ""
		}
	}
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// MakeCalendar makes an empty calendar.
func (s *Server) MakeCalendar(t testing.TB, name string) {
	t.Helper()
	s.send(t, "MKCALENDAR", name+"/", "")
}

// RemoveCalendar removes a calendar.
func (s *Server) RemoveCalendar(t testing.TB, name string) {
	t.Helper()
	s.send(t, http.MethodDelete, name+"/", "")
}

// Put stores an object.
func (s *Server) Put(t testing.TB, calendar, name, text string) {
	t.Helper()
	s.send(t, http.MethodPut, calendar+"/"+name, text)
}

// Delete removes an object.
func (s *Server) Delete(t testing.TB, calendar, name string) {
	t.Helper()
	s.send(t, http.MethodDelete, calendar+"/"+name, "")
}

// Fill stores many objects at once in an empty calendar, past the protocol where
// that takes minutes: both servers look at all objects for each that is put.
// Radicale chooses the names.
func (s *Server) Fill(t testing.TB, calendar string, objects map[string]string) {
	t.Helper()
	s.fill(t, calendar, objects)
}

// putWhole replaces a collection by one request, as Radicale allows.
func (s *Server) putWhole(t testing.TB, calendar string, objects map[string]string) {
	t.Helper()
	var all strings.Builder
	all.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//busyd//caldavreal//EN\r\n")
	for _, text := range objects {
		from, to := strings.Index(text, "BEGIN:VEVENT"), strings.LastIndex(text, "END:VCALENDAR")
		all.WriteString(text[from:to])
	}
	all.WriteString("END:VCALENDAR\r\n")
	s.send(t, http.MethodPut, calendar+"/", all.String())
}

// commit adds files to the git repository that a Xandikos calendar is.
func commit(t testing.TB, folder string, objects map[string]string) {
	t.Helper()
	for name, text := range objects {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"add", "."},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-q", "-m", "fill"},
	} {
		cmd := exec.Command("git", append([]string{"-C", folder}, args...)...)
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", args[0], err, said)
		}
	}
}

func (s *Server) send(t testing.TB, method, path, body string) {
	t.Helper()
	r, err := http.NewRequest(method, strings.TrimSuffix(s.URL, "/")+s.home+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(s.Username, s.Password)
	if body != "" {
		r.Header.Set("Content-Type", "text/calendar; charset=utf-8")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		detail, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		t.Fatalf("%s: %s", method, fmt.Sprint(resp.Status, " ", string(detail)))
	}
}

// lockedBuffer is written by the process's pipes and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
