package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest/googlefake"
)

// told is the standard error of a command that prints where the owner consents.
type told struct {
	bytes.Buffer
	address chan string
}

func (w *told) Write(p []byte) (int, error) {
	for _, word := range strings.Fields(string(p)) {
		if strings.HasPrefix(word, "http") {
			w.address <- word
		}
	}
	return w.Buffer.Write(p)
}

// front is a machine with a daemon, to which owners come back from Google.
type front struct {
	*machine
	google  *googlefake.Server
	address string
}

func newFront(t *testing.T) *front {
	f := &front{machine: newMachine(t), address: freeAddress(t)}
	f.google = googlefake.New(googlefake.Options{Redirects: []string{"http://" + f.address + "/oauth/callback"}})
	id, secret := f.google.Client()
	for name, value := range map[string]string{
		"LISTEN": f.address, "PUBLIC_URL": "http://" + f.address,
		"GOOGLE_CLIENT_ID": id, "GOOGLE_CLIENT_SECRET": secret, "GOOGLE_ENDPOINT": served(t, f.google),
	} {
		f.set("BUSYD_"+name, value)
	}
	f.must("migrate")
	f.must("tenant", "create", "acme")
	f.must("resource", "create", "Ada", "--tenant", "acme", "--timezone", "Europe/Berlin")
	f.serve()
	return f
}

// ask runs the command while the owner goes the browser's way.
func (f *front) ask(owner googlefake.Consent, args ...string) (code int, out, errs string) {
	f.t.Helper()
	var o bytes.Buffer
	e := &told{address: make(chan string, 1)}
	done := make(chan int, 1)
	go func() {
		done <- run(f.t.Context(), append([]string{"connection", "add", "google", "--tenant", "acme"}, args...), strings.NewReader(""), &o, e, f.environ)
	}()
	select {
	case address := <-e.address:
		back, err := f.google.Approve(address, owner)
		must(f.t, err)
		if status, body := get(f.t, "http://"+f.address+"/oauth/callback?"+back.Encode(), ""); (status == http.StatusOK) == owner.Decline {
			f.t.Errorf("the owner's browser gets %d: %s", status, body)
		}
		code = <-done
	case code = <-done:
	case <-time.After(time.Minute):
		f.t.Fatal("no address was printed")
	}
	return code, o.String(), e.String()
}

// Whoever waits for an owner learns at once how it ended: connected, connected anew
// though the connection was active all along, or not at all.
func TestAConsentIsAwaited(t *testing.T) {
	f := newFront(t)
	if code, out, errs := f.ask(googlefake.Consent{}, "--resource", "Ada"); code != exitOK || !strings.Contains(out, "1 calendar, of which 1 blocks time") {
		t.Fatalf("connecting: exit code %d\n%s%s", code, out, errs)
	}
	id := object[[]connectionView](f.machine, "connection", "list", "--tenant", "acme")[0].ID.String()
	began := time.Now()
	if code, out, errs := f.ask(googlefake.Consent{}, "--reconnect", id); code != exitOK || !strings.Contains(out, id) {
		t.Errorf("connecting anew: exit code %d\n%s%s", code, out, errs)
	}
	t.Logf("noticed after %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	for _, args := range [][]string{{"--reconnect", id}, {"--resource", "Ada"}} {
		code, _, errs := f.ask(googlefake.Consent{Decline: true}, args...)
		if code != exitFailure || !strings.Contains(errs, "nothing was connected: the consent was declined") {
			t.Errorf("declining with %v: exit code %d: %s", args, code, errs)
		}
	}
	t.Logf("declined twice within %v", time.Since(began).Round(time.Millisecond))
	if code, _, errs := f.ask(googlefake.Consent{}); code != exitUsage || !strings.Contains(errs, "reconnect") {
		t.Errorf("neither a resource nor a connection: exit code %d: %s", code, errs)
	}
}

// A login, and a connection that is at its end, are answered in words that help.
func TestWhatAConnectionTakes(t *testing.T) {
	f := newFront(t)
	f.ask(googlefake.Consent{}, "--resource", "Ada")
	f.connect("ada")
	var google, dav string
	for _, c := range object[[]connectionView](f.machine, "connection", "list", "--tenant", "acme") {
		if c.Provider == busy.Google {
			google = c.ID.String()
		} else {
			dav = c.ID.String()
		}
	}
	expect := func(code int, want string, args ...string) {
		t.Helper()
		args = append([]string{"connection"}, append(args, "--tenant", "acme")...)
		got, out, errs := f.busydWith(davPassword, args...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%v: exit code %d, want %d and %q\n%s%s", args, got, code, want, out, errs)
		}
	}
	expect(exitUsage, "busyd connection add google --reconnect "+google, "reconnect", google, "--username", "x")
	expect(exitUsage, "nothing was saved: the username must be", "reconnect", dav, "--url", f.davURL, "--username", "bo", "--password-file", "-")
	expect(exitUsage, "with --username", "reconnect", dav, "--url", f.davURL)
	expect(exitOK, "Reconnected", "reconnect", dav, "--url", f.davURL, "--username", "ada", "--password-file", "-")
	expect(exitOK, "Disconnected", "disconnect", google, "--yes")
	expect(exitOK, "Ada is not offered any more", "disconnect", dav, "--yes")
	expect(exitOK, "was disconnected already", "disconnect", dav)
	for _, command := range []string{"pause", "resume", "reconnect"} {
		expect(exitUsage, "disconnected, which is final", command, dav)
	}
	expect(exitUsage, "disconnected, which is final", "add", "google", "--reconnect", google)
}
