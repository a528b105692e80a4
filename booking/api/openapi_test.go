package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write openapi.json")

func TestDocumentIsTheCommittedOne(t *testing.T) {
	w := newHouse(t).call("GET", "/v1/openapi.json", "", "")
	var got bytes.Buffer
	if err := json.Indent(&got, w.Body.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	if *update {
		if err := os.WriteFile("openapi.json", got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("openapi.json is not what the routes say; go test -run Document -update writes it, and the change is part of the review")
	}
}

// specimen is a good call of a route.
type specimen struct {
	target, token, body string
	hold                string // the token of a hold of the caller's
}

func specimens(h *house) map[string]specimen {
	ten := h.tenants[0]
	resource, bo := ten.resources[0].ID.String(), ten.resources[1].ID.String()
	span := "&from=2026-03-02T00:00:00Z&to=2026-03-09T00:00:00Z"
	return map[string]specimen{
		"getBusy":             {target: "/v1/busy?resource=" + resource + "&resource=" + bo + span, token: readToken},
		"getAvailability":     {target: "/v1/availability?resource=" + resource + "&resource=" + bo + span + "&duration=30m", token: readToken},
		"resync":              {target: "/v1/resync", token: syncToken, body: `{"calendar":"` + ten.calendars[0].ID.String() + `","full":true}`},
		"listResources":       {target: "/v1/resources?limit=1", token: readToken},
		"listConnections":     {target: "/v1/connections?limit=1", token: readToken},
		"listCalendars":       {target: "/v1/calendars?limit=1", token: readToken},
		"selectCalendar":      {target: "/v1/calendars/" + ten.calendars[0].ID.String(), token: adminToken, body: `{"selected":true}`},
		"pauseConnection":     {target: "/v1/connections/" + ten.connections[0].ID.String(), token: adminToken, body: `{"paused":true}`},
		"disconnect":          {target: "/v1/connections/" + ten.connections[0].ID.String(), token: adminToken},
		"connect":             {target: "/v1/connections", token: adminToken, body: `{"provider":"google","resource":"` + resource + `"}`},
		"getTenant":           {target: "/v1/tenant", token: readToken},
		"changeTenant":        {target: "/v1/tenant", token: adminToken, body: `{"downgraded":true}`},
		"getOpenAPI":          {target: "/v1/openapi.json"},
		"listServices":        {target: "/v1/services?limit=1", token: readToken},
		"createService":       {target: "/v1/services", token: adminToken, body: serviceText("Another", resource)},
		"getService":          {target: "/v1/services/" + ten.services[0].ID.String(), token: readToken},
		"replaceService":      {target: "/v1/services/" + ten.services[0].ID.String(), token: adminToken, body: serviceText("Visit", bo)},
		"archiveService":      {target: "/v1/services/" + ten.services[0].ID.String(), token: adminToken},
		"changeResource":      {target: "/v1/resources/" + resource, token: adminToken, body: `{"hours":"mon 09:00-12:00"}`},
		"listOverrides":       {target: "/v1/resources/" + resource + "/overrides", token: readToken},
		"createOverride":      {target: "/v1/resources/" + resource + "/overrides", token: adminToken, body: `{"first":"2026-12-24","closed":true}`},
		"deleteOverride":      {target: "/v1/overrides/" + ten.resources[0].Overrides[0].ID.String(), token: adminToken},
		"askAvailability":     {target: "/v1/availability", token: readToken, body: ten.question(`"explain":true,"max_age":"60s"`), hold: ten.hold()},
		"hold":                {target: "/v1/holds", token: bookToken, body: ten.want(6, 12)},
		"renewHold":           {target: "/v1/holds/" + ten.bookings[2].ID.String() + "/renew", token: bookToken, body: `{"ttl":"10m"}`, hold: ten.hold()},
		"releaseHold":         {target: "/v1/holds/" + ten.bookings[3].ID.String(), token: bookToken, hold: ten.hold()},
		"book":                {target: "/v1/bookings", token: bookToken, body: ten.want(6, 12)},
		"listBookings":        {target: "/v1/bookings?limit=1&state=held&state=confirmed", token: readToken},
		"getBooking":          {target: "/v1/bookings/" + ten.bookings[0].ID.String(), token: readToken},
		"confirmBooking":      {target: "/v1/bookings/" + ten.bookings[1].ID.String() + "/confirm", token: bookToken},
		"rescheduleBooking":   {target: "/v1/bookings/" + ten.bookings[0].ID.String() + "/reschedule", token: bookToken, body: `{"start":"2026-03-06T12:00:00Z"}`},
		"cancelBooking":       {target: "/v1/bookings/" + ten.bookings[0].ID.String() + "/cancel", token: bookToken},
		"getPersonalData":     {target: "/v1/bookings/" + ten.bookings[0].ID.String() + "/personal-data", token: bookToken},
		"erasePersonalData":   {target: "/v1/bookings/" + ten.bookings[0].ID.String() + "/personal-data", token: bookToken},
		"listConflicts":       {target: "/v1/conflicts?limit=1", token: readToken},
		"listWebhooks":        {target: "/v1/webhooks", token: adminToken},
		"createWebhook":       {target: "/v1/webhooks", token: adminToken, body: `{"url":"https://example.com/busyd","types":["booking.created"]}`},
		"deleteWebhook":       {target: "/v1/webhooks/" + ten.endpoints[0].ID.String(), token: adminToken},
		"rotateWebhookSecret": {target: "/v1/webhooks/" + ten.endpoints[0].ID.String() + "/rotate", token: adminToken},
		"replayWebhook":       {target: "/v1/webhooks/" + ten.endpoints[0].ID.String() + "/replay", token: adminToken, body: `{"since":"2026-03-01T00:00:00Z"}`},
		"listen":              {target: "/v1/events", token: readToken},
	}
}

// TestDocumentIsTrue calls each route that the document lists, and each that the
// API has, well and badly, and holds every answer against the document.
func TestDocumentIsTrue(t *testing.T) {
	committed, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	doc := parseDocument(t, committed)

	var listed, routed []string
	for path, item := range doc.Paths {
		for method := range item {
			listed = append(listed, strings.ToUpper(method)+" "+path)
		}
	}
	for _, r := range routes() {
		routed = append(routed, r.method+" "+r.path)
	}
	routed = append(routed, "GET "+openapiPath)
	slices.Sort(listed)
	slices.Sort(routed)
	if !slices.Equal(listed, routed) {
		t.Fatalf("the document lists %v, the API has %v", listed, routed)
	}

	for _, item := range doc.Paths {
		for method, op := range item {
			t.Run(op.OperationID, func(t *testing.T) {
				h := newHouse(t)
				good, ok := specimens(h)[op.OperationID]
				if !ok {
					t.Fatal("there is no specimen of this operation")
				}
				method := strings.ToUpper(method)
				token := good.token
				if token != "" {
					token += "_one"
				}
				doc.check(t, op, h, method, good.target, token, good.body, true, "Hold-Token", good.hold)
				doc.check(t, op, h, method, good.target+sep(good.target)+"no_such=1", token, good.body, op.OperationID == "getOpenAPI", "Hold-Token", good.hold)
				if good.token == "" {
					return
				}
				doc.check(t, op, h, method, good.target, "", good.body, false)
				doc.check(t, op, h, method, good.target, "bzd_wrong", good.body, false)
				if good.token != readToken {
					doc.check(t, op, h, method, good.target, readToken+"_one", good.body, false)
				} else {
					doc.check(t, op, h, method, good.target, syncToken+"_one", good.body, false)
				}
				if good.body != "" {
					doc.check(t, op, h, method, good.target, token, `{"x":1}`, false)
					doc.check(t, op, h, method, good.target, token, strings.Repeat(" ", MaxBody)+"{}", false)
				}
				h.err = errors.New("the database is away")
				doc.check(t, op, h, method, good.target, token, good.body, false)
			})
		}
	}
}

func sep(target string) string {
	if strings.Contains(target, "?") {
		return "&"
	}
	return "?"
}

// openapi is as much of a document as checking answers takes, read from JSON and
// not from the values that made it.
type openapi struct {
	Paths map[string]map[string]operationDoc `json:"paths"`
	raw   map[string]any
}

type operationDoc struct {
	OperationID string `json:"operationId"`
	Responses   map[string]struct {
		Content map[string]struct {
			Schema map[string]any `json:"schema"`
		} `json:"content"`
	} `json:"responses"`
}

func parseDocument(t *testing.T, b []byte) openapi {
	t.Helper()
	var d openapi
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &d.raw); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d openapi) check(t *testing.T, op operationDoc, h *house, method, target, token, body string, good bool, headers ...string) {
	t.Helper()
	w := h.call(method, target, token, body, headers...)
	if (w.Code < 300) != good {
		t.Errorf("%s %s = %d: %s", method, target, w.Code, w.Body)
		return
	}
	response, ok := op.Responses[strconv.Itoa(w.Code)]
	if !ok {
		t.Errorf("%s %s = %d, which the document does not list: %s", method, target, w.Code, w.Body)
		return
	}
	if len(response.Content) == 0 {
		if w.Body.Len() > 0 {
			t.Errorf("%s %s has a body that the document does not: %s", method, target, w.Body)
		}
		return
	}
	media, ok := response.Content[w.Header().Get("Content-Type")]
	if !ok {
		t.Errorf("%s %s is a %s, which the document does not list", method, target, w.Header().Get("Content-Type"))
		return
	}
	if w.Header().Get("Content-Type") == "text/event-stream" {
		return
	}
	var value any
	if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
		t.Error(err)
		return
	}
	for _, wrong := range d.violations("body", media.Schema, value) {
		t.Errorf("%s %s: %s", method, target, wrong)
	}
}

func TestSchemasRefuseWhatIsNotInThem(t *testing.T) {
	committed, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	d := parseDocument(t, committed)
	schema := map[string]any{"$ref": "#/components/schemas/BusyAnswer"}
	for name, body := range map[string]string{
		"a missing field": `{"from":"2026-03-02T00:00:00Z","to":"2026-03-02T00:00:00Z"}`,
		"an extra field":  `{"from":"2026-03-02T00:00:00Z","to":"2026-03-02T00:00:00Z","resources":[],"subject":"x"}`,
		"a null list":     `{"from":"2026-03-02T00:00:00Z","to":"2026-03-02T00:00:00Z","resources":null}`,
		"a wrong state":   `{"from":"2026-03-02T00:00:00Z","to":"2026-03-02T00:00:00Z","resources":[{"id":"` + moment.String() + `","as_of":null,"state":"ok","calendars":[],"busy":[]}]}`,
		"a bad time":      `{"from":"yesterday","to":"2026-03-02T00:00:00Z","resources":[]}`,
	} {
		var value any
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			t.Fatal(err)
		}
		if len(d.violations("body", schema, value)) == 0 {
			t.Errorf("%s passes", name)
		}
	}
}
