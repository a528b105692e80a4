package ews_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ews"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
)

// TestRequestsAreValid sends every operation there is and validates what was
// sent with Exchange's own schema.
func TestRequestsAreValid(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	dir := t.TempDir()
	var files []string
	for i, as := range []providers.Login{login(), shared("room@corp.test"), shared("boss@corp.test")} {
		server := everything(t, as)
		for j, r := range server.Requests() {
			if r.Operation == "" || r.Refused != "" {
				continue
			}
			seen[r.Operation] = true
			for k, part := range parts(t, r.Body) {
				file := filepath.Join(dir, fmt.Sprintf("%d-%d-%s-%d.xml", i, j, r.Operation, k))
				if err := os.WriteFile(file, []byte(part), 0o600); err != nil {
					t.Fatal(err)
				}
				files = append(files, file)
			}
		}
	}
	for _, operation := range []string{
		"GetFolder", "FindFolder", "SyncFolderItems", "FindItem", "GetItem", "Subscribe", "Unsubscribe", "GetStreamingEvents",
	} {
		if !seen[operation] {
			t.Errorf("%s was not sent", operation)
		}
	}
	if out, err := validate(files...); err != nil {
		t.Fatalf("xmllint, of libxml2-utils: %v\n%s", err, out)
	}
	// The validator must be able to say no.
	wrong := filepath.Join(dir, "wrong.xml")
	if err := os.WriteFile(wrong, []byte(`<m:GetItem xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"/>`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := validate(wrong); err == nil {
		t.Fatal("an empty GetItem is valid")
	}
}

func validate(files ...string) (string, error) {
	out, err := exec.Command("xmllint", append([]string{"--nonet", "--noout", "--schema", "testdata/schema/requests.xsd"}, files...)...).CombinedOutput()
	var told []string
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "Skipping import") && !strings.HasSuffix(strings.TrimSpace(line), " validates") {
			told = append(told, line)
		}
	}
	return strings.Join(told, ""), err
}

func shared(mailbox string) providers.Login {
	l := login()
	l.Mailbox = mailbox
	return l
}

// everything makes the provider do all that it can.
func everything(t *testing.T, as providers.Login) *ewsfake.Server {
	t.Helper()
	var server *ewsfake.Server
	a := newAccountOf(t, ewsfake.Options{
		Hidden: []string{"calendar:MyResponseType"}, Shared: "room@corp.test", Impersonated: "boss@corp.test",
	}, ews.Config{Stream: func() http.RoundTripper { return server.Transport() }, Debounce: time.Millisecond}, as)
	server = a.server
	calendars, err := a.Open(t).Calendars(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	a.remote = calendars[0].Remote
	server.Put(ewsfake.Calendar, "a", standup())
	m := newReader(a)
	m.read(t)
	m.read(t)
	listen(t, a, func(changed <-chan struct{}) {
		server.Put(ewsfake.Calendar, "b", standup())
		<-changed
	})
	return server
}

func standup() providertest.Entry {
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	return entry("Standup", start, 30*time.Minute)
}

// parts are the elements in the header and the body of an envelope, each as a
// document.
func parts(t *testing.T, envelope string) []string {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(envelope))
	var found []string
	depth, start := 0, int64(0)
	for {
		before := d.InputOffset()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token.(type) {
		case xml.StartElement:
			if depth++; depth == 3 {
				start = before
			}
		case xml.EndElement:
			if depth--; depth == 2 {
				found = append(found, standalone(envelope[start:d.InputOffset()]))
			}
		}
	}
}

func standalone(element string) string {
	name := bytes.IndexAny([]byte(element), " />")
	return element[:name] + ` xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"` +
		` xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"` + element[name:]
}
