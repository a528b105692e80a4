package api

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/busyd/busyd/busy"
)

// param is a parameter that a route takes.
type param struct {
	name     string
	in       string // query or path
	required bool
	many     bool // may be repeated
	about    string
	schema   huma.Schema
}

const (
	uuidForm   = "must be a UUID such as 3f2b8c1e-5a44-4c9e-9d3e-0d6c1f0a7b21"
	policyForm = "must be treat_as_busy, reject or serve_stale"
)

// The parameters.
var (
	resourceParam = param{
		name: "resource", in: "query", required: true, many: true,
		about:  "The id of a resource; repeat it for up to 50.",
		schema: huma.Schema{Type: "string", Format: "uuid"},
	}
	fromParam = param{
		name: "from", in: "query", required: true,
		about:  "The start of the range, RFC 3339 with any offset, in the years 2000 to 2199.",
		schema: huma.Schema{Type: "string", Format: "date-time", Examples: []any{"2026-03-02T00:00:00Z"}},
	}
	toParam = param{
		name: "to", in: "query", required: true,
		about:  "The end of the range, exclusive: after from, and at most 92 days after it.",
		schema: huma.Schema{Type: "string", Format: "date-time", Examples: []any{"2026-03-09T00:00:00Z"}},
	}
	durationParam = param{
		name: "duration", in: "query", required: true,
		about:  "The length of a slot in whole minutes, from 1m to 24h, as 30m or PT30M.",
		schema: huma.Schema{Type: "string", Examples: []any{"30m"}},
	}
	intervalParam = param{
		name: "interval", in: "query",
		about:  "The time between the starts of slots in whole minutes, from 5m to 24h, as 15m or PT15M.",
		schema: huma.Schema{Type: "string", Default: "15m"},
	}
	staleParam = param{
		name: "stale", in: "query",
		about: "What becomes of a resource whose calendars are not all fresh. treat_as_busy: it is in no slot, or, if " +
			"only a part of the range is uncovered, in those of the rest. reject: the request fails with not_fresh. " +
			"serve_stale: what is last known is believed, and of a resource whose accounts are all disconnected its " +
			"hours and bookings alone. Time that its calendars do not mirror is free in none of them.",
		schema: huma.Schema{Type: "string", Enum: []any{"treat_as_busy", "reject", "serve_stale"}, Default: "treat_as_busy"},
	}
	limitParam = param{
		name: "limit", in: "query",
		about:  "How many to return, from 1 to 200.",
		schema: huma.Schema{Type: "integer", Minimum: ptr(1.0), Maximum: ptr(float64(maxPage)), Default: defaultPage},
	}
	cursorParam = param{
		name: "cursor", in: "query",
		about:  "The next of the page before; without it, the first page.",
		schema: huma.Schema{Type: "string"},
	}
	allParam = param{
		name: "all", in: "query",
		about:  "Those that are over, too.",
		schema: huma.Schema{Type: "boolean", Default: false},
	}
	oneResourceParam = param{
		name: "resource", in: "query",
		about:  "Only those of this resource.",
		schema: huma.Schema{Type: "string", Format: "uuid"},
	}
	serviceParam = param{
		name: "service", in: "query",
		about:  "Only those of this service.",
		schema: huma.Schema{Type: "string", Format: "uuid"},
	}
	stateParam = param{
		name: "state", in: "query", many: true,
		about:  "Only those in this state; repeat it for several.",
		schema: huma.Schema{Type: "string", Enum: []any{"held", "pending", "confirmed", "cancelled", "expired"}},
	}
	sinceParam = param{
		name: "from", in: "query",
		about:  "Only those that end after it, RFC 3339.",
		schema: huma.Schema{Type: "string", Format: "date-time"},
	}
	untilParam = param{
		name: "to", in: "query",
		about:  "Only those that start before it, RFC 3339.",
		schema: huma.Schema{Type: "string", Format: "date-time"},
	}
	matchParam = param{
		name: "If-Match", in: "header",
		about:  "The booking's ETag: if it is another meanwhile, nothing changes. Absent or *: whatever it is.",
		schema: huma.Schema{Type: "string", Examples: []any{`"3"`}},
	}
	tokenParam = param{
		name: "Hold-Token", in: "header", required: true,
		about:  "The token that the hold was answered with: it shows that the caller owns it.",
		schema: huma.Schema{Type: "string"},
	}
	idParam = param{
		name: "id", in: "path", required: true,
		schema: huma.Schema{Type: "string", Format: "uuid"},
	}
)

func ptr[T any](v T) *T { return &v }

// params reads a request's parameters and collects what is wrong with them.
type params struct {
	values url.Values
	fields
}

func readParams(declared []param, r *http.Request) *params {
	query, err := url.ParseQuery(r.URL.RawQuery)
	p := &params{values: query}
	if err != nil {
		p.reject("query", "must be name=value pairs joined by &, percent-encoded")
		return p
	}
	for name, values := range query {
		i := slices.IndexFunc(declared, func(d param) bool { return d.name == name && d.in == "query" })
		switch {
		case i < 0:
			p.reject(short(name), "is not a parameter of this route")
		case len(values) > 1 && !declared[i].many:
			p.reject(name, "must be given once")
		}
	}
	slices.SortFunc(p.wrong, func(a, b violation) int { return strings.Compare(a.Field, b.Field) })
	for _, d := range declared {
		switch {
		case d.in == "path":
			p.values[d.name] = []string{r.PathValue(d.name)}
		case d.in == "header":
			p.header(d, r.Header.Values(d.name))
		case d.required && !query.Has(d.name):
			p.reject(d.name, "is required")
		}
	}
	return p
}

func (p *params) header(d param, values []string) {
	switch {
	case len(values) > 1:
		p.reject(d.name, "must be given once")
	case len(values) == 1:
		p.values[d.name] = values
	case d.required:
		p.reject(d.name, "is required")
	}
}

// resources reads the ids in the order given.
func (p *params) resources() []busy.ResourceID {
	return readIDs[busy.Resource](&p.fields, resourceParam.name, p.values[resourceParam.name], MaxResources)
}

func idOf[Of any](p *params) busy.ID[Of] {
	return readID[Of](&p.fields, idParam.name, p.values.Get(idParam.name))
}

// optionalID is zero if the parameter is absent.
func optionalID[Of any](p *params, name string) (id busy.ID[Of]) {
	if p.values.Has(name) {
		id = readID[Of](&p.fields, name, p.values.Get(name))
	}
	return id
}

// span reads from and to, in UTC; those that are missing were rejected.
func (p *params) span() busy.Span {
	if !p.values.Has(fromParam.name) || !p.values.Has(toParam.name) {
		return busy.Span{}
	}
	// A + that the caller left unescaped arrives as a space.
	value := func(name string) string { return strings.ReplaceAll(p.values.Get(name), " ", "+") }
	return p.fields.span(value(fromParam.name), value(toParam.name))
}

func (p *params) length(l length) time.Duration {
	if p.values.Has(l.name) && p.values.Get(l.name) == "" {
		p.reject(l.name, "must be a duration such as 30m, 1h30m or PT30M")
	}
	return p.duration(l, p.values.Get(l.name))
}

func (p *params) policy() busy.Policy {
	if !p.values.Has(staleParam.name) {
		return busy.TreatAsBusy
	}
	policy := busy.Policy(p.values.Get(staleParam.name))
	if !slices.Contains(busy.Policies(), policy) {
		p.reject(staleParam.name, policyForm)
	}
	return policy
}

func (p *params) limit() int {
	if !p.values.Has(limitParam.name) {
		return defaultPage
	}
	n, err := strconv.Atoi(p.values.Get(limitParam.name))
	if err != nil || n < 1 || n > maxPage {
		p.reject(limitParam.name, "must be a number from 1 to 200")
	}
	return n
}

// flag is false if the parameter is absent.
func (p *params) flag(name string) bool {
	switch p.values.Get(name) {
	case "true":
		return true
	case "false":
	default:
		if p.values.Has(name) {
			p.reject(name, "must be true or false")
		}
	}
	return false
}

// between reads from and to where each may be absent.
func (p *params) between() (s busy.Span) {
	read := func(name string, into *time.Time) {
		if p.values.Has(name) {
			*into = p.instant(name, strings.ReplaceAll(p.values.Get(name), " ", "+"))
		}
	}
	read(sinceParam.name, &s.Start)
	read(untilParam.name, &s.End)
	return s
}

func (p *params) states() []busy.BookingState {
	var states []busy.BookingState
	for _, v := range p.values[stateParam.name] {
		if !slices.Contains(stateParam.schema.Enum, any(v)) {
			p.reject(stateParam.name, "must be held, pending, confirmed, cancelled or expired")
			return nil
		}
		states = append(states, busy.BookingState(v))
	}
	return states
}

// version reads If-Match; 0: any.
func (p *params) version() int64 {
	tag := p.values.Get(matchParam.name)
	if tag == "" || tag == "*" {
		return 0
	}
	digits, quoted := strings.CutPrefix(tag, `"`)
	digits, closed := strings.CutSuffix(digits, `"`)
	n, err := strconv.ParseInt(digits, 10, 64)
	if !quoted || !closed || err != nil || n < 1 {
		p.reject(matchParam.name, `must be the ETag of the booking, such as "3"`)
	}
	return n
}

// after reads the cursor: the id of the last item of the page before.
func (p *params) after() string {
	if !p.values.Has(cursorParam.name) {
		return ""
	}
	id, err := base64.RawURLEncoding.DecodeString(p.values.Get(cursorParam.name))
	if _, wrong := busy.ParseID[struct{}](string(id)); err != nil || wrong != nil {
		p.reject(cursorParam.name, "must be the next of the page before")
	}
	return string(id)
}

func afterID[Of any](p *params) (id busy.ID[Of]) {
	if after := p.after(); after != "" {
		id, _ = busy.ParseID[Of](after) // after has told what is wrong
	}
	return id
}
