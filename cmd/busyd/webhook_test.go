package main

import (
	"bufio"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

type letter struct {
	header http.Header
	body   string
}

// mailbox is an endpoint whose certificate the machine trusts.
func (m *machine) mailbox() (url string, letters <-chan letter) {
	m.t.Helper()
	got := make(chan letter, 1000)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- letter{r.Header, string(body)}
	}))
	m.t.Cleanup(server.Close)
	file := filepath.Join(m.t.TempDir(), "ca.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, content, 0o600); err != nil {
		m.t.Fatal(err)
	}
	m.set("BUSYD_NETWORK_CA_FILE", file)
	return server.URL, got
}

// await returns the next letter of the type.
func await(t *testing.T, letters <-chan letter, what string) letter {
	t.Helper()
	end := time.After(time.Minute)
	for {
		select {
		case l := <-letters:
			if strings.Contains(l.body, `"type":"`+what+`"`) {
				return l
			}
		case <-end:
			t.Fatalf("no %s within a minute", what)
		}
	}
}

// What the first reading changes is told to the tenant's endpoint and to who
// listens, signed, without a word of what the calendar says.
func TestMessagesLeaveTheDaemon(t *testing.T) {
	m := newMachine(t)
	token := m.settled()
	url, letters := m.mailbox()
	added := object[webhookView](m, "webhook", "add", "--tenant", "acme", "--url", url+"/secret-path", "--type", "availability.changed,connection.recovered")
	address, stop := m.serve()

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Last-Event-ID", "0.0")
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	scanner := bufio.NewScanner(stream.Body)
	scanner.Scan()
	if stream.StatusCode != 200 || !strings.HasPrefix(scanner.Text(), "retry: ") {
		t.Fatalf("%d: %s", stream.StatusCode, scanner.Text())
	}

	m.must("resync", "--tenant", "acme", "--wait")
	l := await(t, letters, "availability.changed")
	receiver, err := standardwebhooks.NewWebhook(added.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := receiver.Verify([]byte(l.body), l.header); err != nil {
		t.Error(err)
	}
	if strings.Contains(l.body, "Ada") || strings.Contains(l.body, "Work") {
		t.Errorf("the body is %s", l.body)
	}
	rotated := object[map[string]string](m, "webhook", "rotate", added.ID.String(), "--tenant", "acme")
	sent := object[map[string]int](m, "webhook", "replay", added.ID.String(), "--tenant", "acme", "--since", "1h")
	again := await(t, letters, "availability.changed")
	for again.header.Get("webhook-id") != l.header.Get("webhook-id") { // others were on their way
		again = await(t, letters, "availability.changed")
	}
	for _, secret := range []string{added.Secret, rotated["secret"]} {
		receiver, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := receiver.Verify([]byte(again.body), again.header); err != nil {
			t.Error(err)
		}
	}
	if sent["messages"] == 0 {
		t.Error("nothing was sent again")
	}

	_, metrics := get(t, "http://"+address+"/metrics", "")
	for _, want := range []string{`busyd_webhook_attempts_total{outcome="delivered"}`, "busyd_webhook_waiting ", "busyd_webhook_oldest_seconds "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(metrics, "secret-path") {
		t.Error("the metrics hold the endpoint's address")
	}
	list := m.must("webhook", "list", "--tenant", "acme")
	if !strings.Contains(list, url) || !strings.Contains(list, "good") || strings.Contains(list, "whsec_") {
		t.Errorf("the list is\n%s", list)
	}
	began := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("an open stream kept the daemon from stopping for %s", took)
	}
	heard := ""
	for scanner.Scan() {
		heard += scanner.Text() + "\n"
	}
	if !strings.Contains(heard, "event: availability.changed\n") {
		t.Errorf("heard %s", heard)
	}
	m.must("webhook", "remove", added.ID.String(), "--tenant", "acme")
	if code, _, errs := m.busyd("webhook", "remove", added.ID.String(), "--tenant", "acme"); code != exitAttention || !strings.Contains(errs, "webhook list") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// A bare http address, and an unknown type, are refused with what is right.
func TestWebhooksAreRefusedWithACure(t *testing.T) {
	m := newMachine(t)
	m.must("migrate")
	m.must("tenant", "create", "acme")
	for _, c := range []struct{ args, want string }{
		{"--url http://example.com/", "url must be an https address"},
		{"--url https://example.com/ --type booking.made", "types must be of booking.created"},
	} {
		code, _, errs := m.busyd(append([]string{"webhook", "add", "--tenant", "acme"}, strings.Fields(c.args)...)...)
		if code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d: %s", c.args, code, errs)
		}
	}
	if code, _, errs := m.busyd("webhook", "replay", "7", "--tenant", "acme"); code != exitUsage {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
