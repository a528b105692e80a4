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
type specimen struct{ target, token, body string }

func specimens(h *house) map[string]specimen {
	ten := h.tenants[0]
	resource, bo := ten.resources[0].ID.String(), ten.resources[1].ID.String()
	span := "&from=2026-03-02T00:00:00Z&to=2026-03-09T00:00:00Z"
	return map[string]specimen{
		"getBusy":         {"/v1/busy?resource=" + resource + "&resource=" + bo + span, readToken, ""},
		"getAvailability": {"/v1/availability?resource=" + resource + "&resource=" + bo + span + "&duration=30m", readToken, ""},
		"resync":          {"/v1/resync", syncToken, `{"calendar":"` + ten.calendars[0].ID.String() + `","full":true}`},
		"listResources":   {"/v1/resources?limit=1", readToken, ""},
		"listConnections": {"/v1/connections?limit=1", readToken, ""},
		"listCalendars":   {"/v1/calendars?limit=1", readToken, ""},
		"selectCalendar":  {"/v1/calendars/" + ten.calendars[0].ID.String(), adminToken, `{"selected":true}`},
		"pauseConnection": {"/v1/connections/" + ten.connections[0].ID.String(), adminToken, `{"paused":true}`},
		"disconnect":      {"/v1/connections/" + ten.connections[0].ID.String(), adminToken, ""},
		"connect":         {"/v1/connections", adminToken, `{"provider":"google","resource":"` + resource + `"}`},
		"getTenant":       {"/v1/tenant", readToken, ""},
		"changeTenant":    {"/v1/tenant", adminToken, `{"downgraded":true}`},
		"getOpenAPI":      {"/v1/openapi.json", "", ""},
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
				doc.check(t, op, h, method, good.target, token, good.body, true)
				doc.check(t, op, h, method, good.target+sep(good.target)+"no_such=1", token, good.body, op.OperationID == "getOpenAPI")
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

func (d openapi) check(t *testing.T, op operationDoc, h *house, method, target, token, body string, good bool) {
	t.Helper()
	w := h.call(method, target, token, body)
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
