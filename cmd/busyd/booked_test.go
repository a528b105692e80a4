package main

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// What is known of a booker is marked so. It is kept sealed, and shown to those who
// ask for it by name.
const booker = "zqbooker"

// book has services, overrides and bookings made, over HTTP and from the command
// line, looked at and undone.
func (j *journey) book() {
	j.trail.needles = append(j.trail.needles, newNeedle(booker, []byte(booker)))
	for _, place := range []string{"busyd calendar ignore", "busyd calendar ignore --json"} {
		j.trail.allowed[place] = append(j.trail.allowed[place], naming)
	}
	for _, place := range []string{"GET /v1/bookings/{id}/personal-data", "busyd booking show", "busyd booking show --json"} {
		j.trail.allowed[place] = append(j.trail.allowed[place], booker)
	}
	service := func(name string) []string {
		return []string{"service", "create", name, "--tenant", "acme", "--duration", "30m", "--after", "5m", "--stale", "serve_stale", "--need", "1:Ada,Bo"}
	}
	j.cli(exitOK, "", service("Visit")...)
	j.cli(exitOK, "", append(service("Spare"), "--json")...)
	j.both(exitUsage, "", "service", "create", "Wrong", "--tenant", "acme", "--duration", nowhere, "--need", "Ada")
	j.cli(exitOK, "", "service", "archive", "Spare", "--tenant", "acme")
	j.cli(exitOK, "", append(service("Spare"), "--json")...)
	j.cli(exitOK, "", "service", "archive", "Spare", "--tenant", "acme", "--json")
	j.both(exitOK, "", "service", "list", "--tenant", "acme")
	j.override()
	j.webhooks()

	id := object[[]serviceView](j.machine, "service", "list", "--tenant", "acme")[0].ID.String()
	starts := j.starts(id)
	if len(starts) < 4 {
		j.t.Fatalf("only %v are offered", starts)
	}
	bookings := j.bookOverHTTP(id, starts)
	j.both(exitAttention, "", "why", "--tenant", "acme", "--resource", "Ada", "--at", "2030-01-06T03:00", "--service", "Visit")
	j.both(exitOK, "", "booking", "list", "--tenant", "acme", "--all")
	j.both(exitOK, "", "booking", "show", bookings[0], "--tenant", "acme")
	j.both(exitOK, "", "conflicts", "--tenant", "acme", "--all")
	j.kept("with bookings")
	j.cli(exitOK, "", "booking", "cancel", bookings[0], "--tenant", "acme")
	j.cli(exitOK, "", "booking", "cancel", bookings[1], "--tenant", "acme", "--json")
	j.both(exitOK, "", "booking", "erase-details", bookings[0], "--tenant", "acme")
	if shown := j.cli(exitOK, "", "booking", "show", bookings[0], "--tenant", "acme"); strings.Contains(shown, booker) {
		j.t.Errorf("erased, and shown: %s", shown)
	}
	calendar := object[[]calendarView](j.machine, "calendar", "list", "--tenant", "acme")[0].ID.String()
	j.both(exitOK, "", "calendar", "ignore", calendar, "--tenant", "acme", "--tentative")
	j.both(exitOK, "", "calendar", "ignore", calendar, "--tenant", "acme")
	j.resync(exitOK)
}

func (j *journey) override() {
	off := []string{"override", "add", "--tenant", "acme", "--resource", "Ada", "--first", "2030-01-01", "--closed"}
	j.both(exitOK, "", off...)
	j.both(exitUsage, "", append(off, "--timezone", nowhere)...)
	j.both(exitOK, "", "override", "list", "--tenant", "acme", "--resource", "Ada")
	for i, o := range object[[]overrideView](j.machine, "override", "list", "--tenant", "acme", "--resource", "Ada") {
		j.cli(exitOK, "", append([]string{"override", "remove", o.ID.String(), "--tenant", "acme"}, [][]string{nil, {"--json"}}[i%2]...)...)
	}
}

// webhooks has an endpoint made, whose address nobody reaches, before anything is
// booked: its secrets are shown once.
func (j *journey) webhooks() {
	var ids []string
	for i, more := range [][]string{nil, {"--json"}} {
		place := strings.Join(append([]string{"busyd webhook"}, more...), " ")
		for _, verb := range []string{"add", "rotate"} {
			named := strings.Replace(place, "webhook", "webhook "+verb, 1)
			j.trail.allowed[named] = append(j.trail.allowed[named], "an endpoint's secret")
		}
		add := append([]string{"webhook", "add", "--tenant", "acme", "--url", "https://endpoint.invalid/" + string(rune('a'+i))}, more...)
		j.endpointSecret(j.cli(exitOK, "", add...))
	}
	for _, e := range object[[]webhookView](j.machine, "webhook", "list", "--tenant", "acme") {
		ids = append(ids, e.ID.String())
	}
	j.both(exitOK, "", "webhook", "list", "--tenant", "acme")
	for i, more := range [][]string{nil, {"--json"}} {
		j.endpointSecret(j.cli(exitOK, "", append([]string{"webhook", "rotate", ids[i], "--tenant", "acme"}, more...)...))
		j.cli(exitOK, "", append([]string{"webhook", "replay", ids[i], "--tenant", "acme", "--since", "1h"}, more...)...)
	}
	j.cli(exitOK, "", "webhook", "remove", ids[0], "--tenant", "acme")
	j.cli(exitOK, "", "webhook", "remove", ids[1], "--tenant", "acme", "--json")
}

// endpointSecret has the secret that was shown searched for.
func (j *journey) endpointSecret(shown string) {
	j.t.Helper()
	_, after, found := strings.Cut(shown, "whsec_")
	secret := strings.FieldsFunc(after, func(c rune) bool { return c == '"' || c == '\n' })
	if !found || len(secret) == 0 {
		j.t.Fatalf("no secret is shown: %s", shown)
	}
	j.secret("an endpoint's secret", secret[0])
}

// starts asks when the service can be had, and why else not.
func (j *journey) starts(service string) (starts []time.Time) {
	from := time.Now().UTC().Truncate(time.Hour)
	question := `{"services":["` + service + `"],"form":"slots","explain":true,"max_age":"1s","deadline":"1s","from":"` + from.Format(time.RFC3339) +
		`","to":"` + from.AddDate(0, 0, 7).Format(time.RFC3339) + `"}`
	var answer struct {
		Services []struct {
			Slots []struct{ Start time.Time }
		}
	}
	content := j.call("POST", "/v1/availability", "/v1/availability", question)
	if err := json.Unmarshal(content, &answer); err != nil || len(answer.Services) != 1 {
		j.t.Fatalf("%v: %s", err, content)
	}
	for _, s := range answer.Services[0].Slots {
		starts = append(starts, s.Start)
	}
	return starts
}

// bookOverHTTP makes a booking of a hold and one straight away.
func (j *journey) bookOverHTTP(service string, starts []time.Time) (bookings []string) {
	data := `"personal_data":{"reference":"` + booker + ` reference","fields":{"` + booker + `name":"` + booker + ` value"}}`
	want := func(i int) string {
		return `{"service":"` + service + `","start":"` + starts[i].Format(time.RFC3339) + `",` + data + `}`
	}
	var held struct {
		Token   string
		Booking struct{ ID string }
	}
	j.change("/v1/holds", "/v1/holds", want(0), "", &held)
	j.secret("the hold's token", strings.TrimPrefix(held.Token, "hold_"))
	j.trail.allowed["POST /v1/holds"] = append(j.trail.allowed["POST /v1/holds"], "the hold's token")
	j.change("/v1/holds/{id}/renew", "/v1/holds/"+held.Booking.ID+"/renew", `{"ttl":"10m"}`, held.Token, nil)
	j.change("/v1/bookings", "/v1/bookings", `{"hold":"`+held.Booking.ID+`"}`, held.Token, nil)
	var booked struct{ ID string }
	j.change("/v1/bookings", "/v1/bookings", want(1), "", &booked)
	j.change("/v1/bookings/{id}/reschedule", "/v1/bookings/"+booked.ID+"/reschedule", `{"start":"`+starts[2].Format(time.RFC3339)+`"}`, "", nil)
	for _, wrong := range []string{`{"service":"` + nowhere + `"}`, `{"` + nowhere[:8] + `":1}`, want(0)} {
		j.tryChange("a refused booking", "/v1/bookings", wrong, "")
	}
	for _, id := range []string{held.Booking.ID, booked.ID} {
		j.call("GET", "/v1/bookings/{id}", "/v1/bookings/"+id, "")
		if got := j.call("GET", "/v1/bookings/{id}/personal-data", "/v1/bookings/"+id+"/personal-data", ""); !strings.Contains(string(got), booker) {
			j.t.Errorf("of the booker there is %s", got)
		}
	}
	j.call("GET", "/v1/bookings", "/v1/bookings", "")
	j.call("GET", "/v1/conflicts", "/v1/conflicts", "")
	return []string{held.Booking.ID, booked.ID}
}

// change sends what must succeed, and reads the answer.
func (j *journey) change(route, path, body, hold string, into any) {
	j.t.Helper()
	content := j.tryChange("POST "+route, path, body, hold)
	var answer struct{ Code string }
	if err := json.Unmarshal(content, &answer); err != nil || answer.Code != "" {
		j.t.Fatalf("POST %s: %v: %s", path, err, content)
	}
	if into != nil {
		if err := json.Unmarshal(content, into); err != nil {
			j.t.Fatal(err)
		}
	}
}

// tryChange sends a request under a key that is marked.
func (j *journey) tryChange(place, path, body, hold string) []byte {
	j.t.Helper()
	request, err := http.NewRequestWithContext(j.t.Context(), http.MethodPost, "http://"+j.address+path, strings.NewReader(body))
	if err != nil {
		j.t.Fatal(err)
	}
	id, err := busy.NewID[journey](rand.Reader)
	if err != nil {
		j.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Authorization": "Bearer " + j.token, "Content-Type": "application/json", "Idempotency-Key": nowhere + id.String(), "Hold-Token": hold,
	} {
		request.Header.Set(name, value)
	}
	return j.send(http.DefaultTransport, place, request)
}
