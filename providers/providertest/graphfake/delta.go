package graphfake

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
)

// token is what a delta's links hold, opaque to clients. Two that mean the same
// differ, as Graph's do.
type token struct {
	Epoch    int
	Calendar string
	From, To time.Time
	Since    int // the revision that the round starts at; -1: the first round
	Until    int // the revision that it ends at
	Skip     int
	Begun    bool
	Serial   int
}

func (t token) encode() string {
	raw, err := json.Marshal(t)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

var maxPageSize = regexp.MustCompile(`odata\.maxpagesize=([0-9]+)`)

func (c *call) delta(granted access) {
	k := c.asked()
	switch {
	case k == nil:
		c.fail(http.StatusNotFound, "ErrorItemNotFound")
		return
	case c.Deltas == OfNone, c.Deltas == OfPrimary && k.name != Primary:
		c.fail(http.StatusBadRequest, "ErrorInvalidRequest")
		return
	}
	t, ok := c.round(k)
	if !ok {
		return
	}
	about := k
	if c.Deltas == OfPrimaryAs {
		about = c.named(Primary)
	}
	all := c.entries(about, t, granted)
	size := 10
	if m := maxPageSize.FindStringSubmatch(c.r.Header.Get("Prefer")); m != nil {
		size = number(m[1])
	}
	if c.PageEvents > 0 {
		size = min(size, c.PageEvents)
	}
	page := all[min(t.Skip, len(all)):min(t.Skip+size, len(all))]
	empty := c.EmptyPages && t.Since < 0 && !t.Begun
	if empty {
		page = nil
	}
	answer := map[string]any{"@odata.context": c.base() + "/$metadata#Collection(event)", "value": append([]map[string]any{}, page...)}
	c.serial++
	t.Serial = c.serial
	at := c.base() + "/me/calendars/" + k.id + "/calendarView/delta?"
	if t.Skip += len(page); t.Skip < len(all) || empty {
		t.Begun = true
		answer["@odata.nextLink"] = at + "$skiptoken=" + t.encode()
	} else {
		t.Since, t.Skip, t.Begun = t.Until, 0, false
		answer["@odata.deltaLink"] = at + "$deltatoken=" + t.encode()
	}
	c.json(http.StatusOK, answer)
}

// round reads where a round is: at its beginning, or at the token.
func (c *call) round(k *calendar) (token, bool) {
	raw := c.form.Get("$deltatoken") + c.form.Get("$skiptoken")
	if raw == "" {
		if len(c.form) != 2 {
			c.refuse(http.StatusBadRequest, "ErrorInvalidUrlQuery", "a delta is asked for a span, and nothing else")
			return token{}, false
		}
		_, span, ok := c.window()
		return token{Epoch: c.epoch, Calendar: k.id, From: span.Start, To: span.End, Since: -1, Until: c.revision}, ok
	}
	if len(c.form) != 1 {
		c.refuse(http.StatusBadRequest, "ErrorInvalidUrlQuery", "a token is not asked for anything more")
		return token{}, false
	}
	var t token
	decoded, err := base64.RawURLEncoding.DecodeString(raw)
	if err != nil || json.Unmarshal(decoded, &t) != nil || t.Calendar != k.id {
		c.refuse(http.StatusBadRequest, "BadRequest", "the token is not one of this calendar")
		return token{}, false
	}
	if t.Epoch != c.epoch {
		c.w.Header().Set("Location", c.base()+c.r.URL.Path[len("/v1.0"):])
		c.fail(http.StatusGone, "SyncStateNotFound")
		return token{}, false
	}
	if !t.Begun && c.form.Get("$deltatoken") != "" {
		t.Until = c.revision
	}
	return t, true
}

// entries are what a round shows: of occurrences little more than their time, of
// what is no more in the span no more than the id.
func (c *call) entries(k *calendar, t token, granted access) []map[string]any {
	var all []map[string]any
	there := map[string]bool{}
	span := busy.Span{Start: t.From, End: t.To}
	for _, name := range slices.Sorted(maps.Keys(k.items)) {
		i := k.items[name]
		there[i.id] = true
		if i.revision <= t.Since || i.revision > t.Until {
			continue
		}
		shown := []occurrence{{item: i, id: i.id, kind: "singleInstance"}}
		if !i.unreadable {
			shown = c.expand(i, span)
		}
		if len(shown) == 0 && t.Since >= 0 {
			all = append(all, removed(i.id))
		}
		for _, o := range shown {
			e := c.event(o, granted)
			if o.kind == "occurrence" {
				e = selected(e, []string{"type", "seriesMasterId", "start", "end"})
			}
			all = append(all, e)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(k.changed)) {
		if !there[id] && t.Since >= 0 && k.changed[id] > t.Since && k.changed[id] <= t.Until {
			all = append(all, removed(id))
		}
	}
	return all
}

func removed(id string) map[string]any {
	return map[string]any{"id": id, "@removed": map[string]any{"reason": "deleted"}}
}
