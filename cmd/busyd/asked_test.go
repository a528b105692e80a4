package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// call sends a request to a route of the daemon and keeps the answer.
func (j *journey) call(method, route, path, body string) (answer []byte) {
	j.t.Helper()
	return j.callAs(j.token, method+" "+route, method, path, body)
}

func (j *journey) callAs(token, place, method, path, body string) []byte {
	j.t.Helper()
	request, err := http.NewRequestWithContext(j.t.Context(), method, "http://"+j.address+path, strings.NewReader(body))
	if err != nil {
		j.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return j.send(http.DefaultTransport, place, request)
}

func (j *journey) send(by http.RoundTripper, place string, request *http.Request) []byte {
	j.t.Helper()
	answer, err := by.RoundTrip(request)
	if err != nil {
		j.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var all bytes.Buffer
	_ = answer.Header.Write(&all)
	content, err := readAll(answer)
	if err != nil || answer.StatusCode == http.StatusInternalServerError {
		j.t.Errorf("%s: %d %v", place, answer.StatusCode, err)
	}
	all.Write(content)
	j.trail.add(place, all.Bytes())
	return content
}

// readAll reads an answer, and of a stream, which does not end, how it begins.
func readAll(answer *http.Response) ([]byte, error) {
	if !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/event-stream") {
		return io.ReadAll(answer.Body)
	}
	begin := make([]byte, 4096)
	n, err := answer.Body.Read(begin)
	return begin[:n], err
}

// ask asks every route, as the account's tenant and as another, and every command
// that is left.
func (j *journey) ask() {
	resource := object[[]resourceView](j.machine, "resource", "list", "--tenant", "acme")[0].ID.String()
	calendars := object[[]calendarView](j.machine, "calendar", "list", "--tenant", "acme")
	from := time.Now().UTC().Truncate(time.Hour)
	span := url.Values{"resource": {resource}, "from": {from.Format(time.RFC3339)}, "to": {from.AddDate(0, 0, 20).Format(time.RFC3339)}}.Encode()
	other := strings.TrimSpace(j.must("key", "create", "--tenant", "other", "--scope", "admin"))
	if shown := j.call("GET", "/v1/busy", "/v1/busy?"+span, ""); bytes.Count(shown, []byte(`"start"`)) < 5 {
		j.t.Errorf("too little is busy: %s", shown)
	}
	for _, stale := range []string{"treat_as_busy", "reject", "serve_stale"} {
		j.call("GET", "/v1/availability", "/v1/availability?duration=30m&stale="+stale+"&"+span, "")
	}
	for _, selected := range []string{"false", "true"} {
		j.call("PATCH", "/v1/calendars/{id}", "/v1/calendars/"+calendars[0].ID.String(), `{"selected":`+selected+`}`)
	}
	j.call("POST", "/v1/resync", "/v1/resync", `{"full":true}`)
	j.connectOverHTTP()
	var document struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal(j.call("GET", "/v1/openapi.json", "/v1/openapi.json", ""), &document); err != nil || len(document.Paths) < 8 {
		j.t.Fatalf("the document: %v", err)
	}
	for route, methods := range document.Paths {
		path := strings.ReplaceAll(route, "{id}", calendars[0].ID.String())
		for method := range methods {
			method = strings.ToUpper(method)
			for _, path := range []string{path, path + "?" + span} {
				j.callAs(other, "another tenant's "+method+" "+route, method, path, "{}")
			}
			if method == "GET" {
				j.call(method, route, path, "")
				j.call(method, route, path+"?"+span, "")
			} else {
				j.callAs(j.token, "an empty "+method+" "+route, method, path, "{}")
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/"} {
		j.call("GET", path, path, "")
	}
	j.page()
	for i, more := range [][]string{{"--off"}, {"--off", "--json"}, nil, {"--json"}} {
		j.cli(exitOK, "", append([]string{"calendar", "select", calendars[i%2].ID.String(), "--tenant", "acme"}, more...)...)
	}
	j.resync(exitOK, "--full")
	for _, object := range stuffedObjects() {
		file := filepath.Join(j.t.TempDir(), "file.ics")
		if err := os.WriteFile(file, []byte(object), 0o600); err != nil {
			j.t.Fatal(err)
		}
		for _, more := range [][]string{nil, {"--json"}} {
			args := append([]string{"expand", file, "--from", from.Format(time.RFC3339), "--to", from.AddDate(0, 0, 20).Format(time.RFC3339), "--address", stuffedUser}, more...)
			_, out, errs := j.busyd(args...)
			place := strings.Join(append([]string{"busyd expand"}, more...), " ")
			j.trail.add(place, []byte(out+errs))
			j.ran[place] = true
		}
	}
}

// connectOverHTTP tries logins that are not good, a server in trouble, and then
// what the CLI did, for somebody else.
func (j *journey) connectOverHTTP() {
	resource := object[resourceView](j.machine, "resource", "create", "Cy", "--tenant", "acme", "--timezone", "Europe/Berlin").ID
	login := func(address, user, password string) string {
		body, err := json.Marshal(map[string]any{"provider": busy.CalDAV, "resource": resource, "login": map[string]string{
			"url": address, "username": user, "password": password,
		}})
		if err != nil {
			j.t.Fatal(err)
		}
		return string(body)
	}
	for _, wrong := range j.wrongLogins() {
		j.callAs(j.token, "a wrong login", "POST", "/v1/connections", login(wrong[0], wrong[1], wrong[2]))
	}
	for name, trouble := range stuffedTroubles() {
		j.server.set(trouble)
		j.callAs(j.token, "a login, "+name, "POST", "/v1/connections", login(j.server.url, stuffedUser, nowhere+"changed"))
	}
	j.server.heal()
	if answer := j.call("POST", "/v1/connections", "/v1/connections", login(j.server.url, stuffedUser, nowhere+"changed")); !bytes.Contains(answer, []byte(naming)) {
		j.t.Errorf("not connected: %s", answer)
	}
}

// page looks at the week in a browser's way.
func (j *journey) page() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		j.t.Fatal(err)
	}
	at := &url.URL{Scheme: "http", Host: j.address, Path: "/week"}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, key := range []string{j.token, "wrong"} {
		answer, err := client.PostForm(at.String()+"/sign-in", url.Values{"key": {key}})
		if err != nil {
			j.t.Fatal(err)
		}
		content, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		j.trail.add("POST /week/sign-in", content)
	}
	for _, query := range []string{"", "?week=2026-W10", "?week=" + time.Now().AddDate(0, 0, 7).Format("2006") + "-W99"} {
		request, err := http.NewRequestWithContext(j.t.Context(), http.MethodGet, at.String()+query, nil)
		if err != nil {
			j.t.Fatal(err)
		}
		for _, c := range jar.Cookies(at) {
			request.AddCookie(c)
		}
		j.send(http.DefaultTransport, "GET /week", request)
	}
}
