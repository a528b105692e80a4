package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// mostRemembered bounds the memory that is spent on answers, in bytes.
const mostRemembered = 64 << 20

// answers are the slots that were found for simple questions. None is given again
// before the database has said that what it was found on is still so: the agendas'
// versions, and how far and how well every calendar is known. That costs one round
// trip, as reading all of it does, and none of the work.
type answers struct {
	mu    sync.Mutex
	of    map[string]found
	order []string // of being remembered
	bytes int
}

// found are the slots of one question, as JSON, and what they were found on.
type found struct {
	slots    []byte
	versions []int64
	known    []busy.Span // of each resource, in the span that was asked for
	fresh    []bool      // what is known
	until    time.Time   // the last moment at which no slot has begun; zero: there is none
	holds    time.Time   // when the first of the holds expires; zero: there is none
}

// size is what remembering it costs, in bytes.
func (f found) size(question string) int { return len(f.slots) + len(question) + 512 }

// foundOn returns what slots that are found now depend on. The standings are those
// of the agendas.
func foundOn(agendas []busy.Agenda, standings []booking.Standing, q booking.Question) found {
	var f found
	for i, a := range agendas {
		f.versions = append(f.versions, a.Version)
		f.known = append(f.known, booking.Known(a, q.Span))
		f.fresh = append(f.fresh, standings[i].KnownState == busy.StateFresh)
		for _, c := range a.Claims {
			if c.ExpiresAt.After(q.Now) && (f.holds.IsZero() || c.ExpiresAt.Before(f.holds)) {
				f.holds = c.ExpiresAt
			}
		}
	}
	return f
}

// still reports whether slots that were found on f are those that would be found
// on o, now.
func (f found) still(o found, now time.Time) bool {
	return slices.Equal(f.versions, o.versions) && slices.Equal(f.known, o.known) && slices.Equal(f.fresh, o.fresh) &&
		(f.until.IsZero() || !now.After(f.until)) && (f.holds.IsZero() || now.Before(f.holds))
}

func (a *answers) find(question string) (found, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, is := a.of[question]
	return f, is
}

func (a *answers) remember(question string, f found) {
	if f.size(question) > mostRemembered {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.of == nil {
		a.of = make(map[string]found)
	}
	if old, is := a.of[question]; is {
		a.bytes -= old.size(question)
	} else {
		a.order = append(a.order, question)
	}
	a.of[question] = f
	for a.bytes += f.size(question); a.bytes > mostRemembered; a.order = a.order[1:] {
		first := a.order[0]
		a.bytes -= a.of[first].size(first)
		delete(a.of, first)
	}
}

// simply answers a simple question, from what is remembered if that is still so.
func (a *api) simply(r *request, q booking.Question, fresh *freshness) (any, error) {
	text := string(r.tenant[:]) + r.query
	resources := q.Service.Resources()
	if known, is := a.answers.find(text); is {
		agendas, err := a.standings(r.ctx, r.tenant, resources)
		if err != nil {
			return nil, err
		}
		standings, err := booking.Standings(agendas, q)
		if err != nil {
			return nil, err
		}
		if known.still(foundOn(agendas, standings, q), q.Now) {
			return simpleAnswer(known.slots, standings, fresh)
		}
	}
	agendas, err := a.agendas(r.ctx, r.tenant, resources, q.Reads())
	if err != nil {
		return nil, err
	}
	offering, err := booking.Offers(agendas, q)
	if err != nil {
		return nil, err
	}
	f := foundOn(agendas, offering.Standings, q)
	if len(offering.Slots) > 0 {
		f.until = offering.Slots[0].Start
	}
	if f.slots, err = json.Marshal(slotsOf(offering.Slots, summaries(offering.Standings), false)); err != nil {
		return nil, err
	}
	a.answers.remember(text, f)
	return simpleAnswer(f.slots, offering.Standings, fresh)
}

// simpleAnswer is an availabilityAnswer whose slots are JSON already.
func simpleAnswer(slots []byte, standings []booking.Standing, fresh *freshness) (any, error) {
	rest, err := json.Marshal(availabilityAnswer{Resources: summaries(standings), Freshness: fresh})
	if err != nil {
		return nil, err
	}
	const none = `{"slots":null`
	return parts{[]byte(`{"slots":`), slots, rest[len(none):], []byte("\n")}, nil
}

// parts are an answer in JSON that is sent piece by piece.
type parts [][]byte

func sendParts(w http.ResponseWriter, status int, of parts) {
	length := 0
	for _, part := range of {
		length += len(part)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(status)
	for _, part := range of {
		_, _ = w.Write(part)
	}
}
