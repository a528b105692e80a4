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

const uuidForm = "must be a UUID such as 3f2b8c1e-5a44-4c9e-9d3e-0d6c1f0a7b21"

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
		about: "What becomes of a resource whose calendars are not all fresh. treat_as_busy: it is in no slot. " +
			"reject: the request fails with not_fresh. serve_stale: what is last known is believed. In none of " +
			"them is time free that was never read.",
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
	idParam = param{
		name: "id", in: "path", required: true,
		schema: huma.Schema{Type: "string", Format: "uuid"},
	}
)

func ptr[T any](v T) *T { return &v }

// params reads a request's parameters and collects what is wrong with them. Its
// methods return a zero value for what is wrong or missing; err tells.
type params struct {
	values url.Values
	wrong  violations
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
		if d.in == "path" {
			p.values[d.name] = []string{r.PathValue(d.name)}
		} else if d.required && !query.Has(d.name) {
			p.reject(d.name, "is required")
		}
	}
	return p
}

func (p *params) reject(field, detail string) { p.wrong = append(p.wrong, violation{field, detail}) }

func (p *params) err() error {
	if len(p.wrong) > 0 {
		return p.wrong
	}
	return nil
}

// resources reads the ids in the order given.
func (p *params) resources() []busy.ResourceID {
	values := p.values[resourceParam.name]
	if len(values) > MaxResources {
		p.reject(resourceParam.name, "must be given at most 50 times")
		return nil
	}
	ids := make([]busy.ResourceID, 0, len(values))
	for _, v := range values {
		id, err := busy.ParseID[busy.Resource](v)
		if err != nil {
			p.reject(resourceParam.name, uuidForm)
			return nil
		}
		if slices.Contains(ids, id) {
			p.reject(resourceParam.name, "must not name the same resource twice")
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

func idOf[Of any](p *params) busy.ID[Of] {
	id, err := busy.ParseID[Of](p.values.Get(idParam.name))
	if err != nil {
		p.reject(idParam.name, uuidForm)
	}
	return id
}

// span reads from and to, in UTC.
func (p *params) span() busy.Span {
	s := busy.Span{Start: p.instant(fromParam.name), End: p.instant(toParam.name)}
	switch {
	case s.Start.IsZero() || s.End.IsZero():
	case s.Empty():
		p.reject(toParam.name, "must be after from")
	case s.End.Sub(s.Start) > MaxRange:
		p.reject(toParam.name, "must be at most 92 days after from")
	}
	return s
}

func (p *params) instant(name string) time.Time {
	if !p.values.Has(name) {
		return time.Time{}
	}
	// A + that the caller left unescaped arrives as a space.
	t, err := time.Parse(time.RFC3339, strings.ReplaceAll(p.values.Get(name), " ", "+"))
	if err != nil {
		p.reject(name, "must be an RFC 3339 time with an offset, such as 2026-03-02T09:00:00Z")
		return time.Time{}
	}
	if t = t.UTC(); t.Year() < 2000 || t.Year() > 2199 {
		p.reject(name, "must be in the years 2000 to 2199")
		return time.Time{}
	}
	return t
}

// duration reads a length between least and most in whole minutes.
func (p *params) duration(name string, fallback, least, most time.Duration) time.Duration {
	if !p.values.Has(name) {
		return fallback
	}
	d, ok := parseDuration(p.values.Get(name))
	switch {
	case !ok:
		p.reject(name, "must be a duration such as 30m, 1h30m or PT30M")
	case d < least || d > most:
		p.reject(name, "must be from "+format(least)+" to "+format(most))
	case d%time.Minute != 0:
		p.reject(name, "must be in whole minutes")
	}
	return d
}

// parseDuration reads 1h30m and the time part of ISO 8601, PT1H30M.
func parseDuration(s string) (time.Duration, bool) {
	if iso, ok := strings.CutPrefix(s, "PT"); ok {
		if iso != strings.ToUpper(iso) {
			return 0, false
		}
		s = strings.ToLower(iso)
	}
	if strings.Trim(s, "0123456789hms.") != "" {
		return 0, false // no sign, no units below a second
	}
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// format writes a duration in whole minutes as 30m or 24h.
func format(d time.Duration) string {
	if d%time.Hour == 0 {
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/time.Minute)) + "m"
}

func (p *params) policy() busy.Policy {
	if !p.values.Has(staleParam.name) {
		return busy.TreatAsBusy
	}
	policy := busy.Policy(p.values.Get(staleParam.name))
	if !slices.Contains(busy.Policies(), policy) {
		p.reject(staleParam.name, "must be treat_as_busy, reject or serve_stale")
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
