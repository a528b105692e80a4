package caldav

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/ical"
	"github.com/busyd/busyd/providers/transport"
)

// fetched is what became of the objects that were asked for.
type fetched struct {
	busy.Change
	incomplete bool // one that exists could not be had
	had        int  // those about which the server said something definite
	lost       []member
	refused    bool // the server found none of the parts asked for of an object
}

func (f *fetched) add(o fetched) {
	f.Events = append(f.Events, o.Events...)
	f.Gone = append(f.Gone, o.Gone...)
	f.Unreadable = append(f.Unreadable, o.Unreadable...)
	f.lost = append(f.lost, o.lost...)
	f.had += o.had
}

// maxLost bounds the objects that may be missing from the answers of one page
// before the answers are held to be broken.
const maxLost = 20

// fetch downloads objects in batches, several at a time. Each object asked for
// ends up among the events, as gone or as unreadable.
func (s *session) fetch(ctx context.Context, at *url.URL, q providers.Query, members []member) (fetched, error) {
	batches := slices.Collect(slices.Chunk(members, s.provider.BatchObjects))
	parts := make([]fetched, len(batches))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(s.inFlight)
	for i, batch := range batches {
		group.Go(func() (err error) {
			parts[i], err = s.batch(groupCtx, at, q, batch)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fetched{}, err
	}
	var all fetched
	for _, part := range parts {
		all.add(part)
	}
	return s.recover(ctx, at, q, all)
}

// batch asks for objects in one request, in parts if the server can do that. If
// the answer breaks on one of them, it finds that one by halving.
func (s *session) batch(ctx context.Context, at *url.URL, q providers.Query, members []member) (fetched, error) {
	if !s.whole.Load() {
		got, err := s.multiget(ctx, at, q, members, wantedData)
		if err == nil && !got.refused || err != nil && !dislikesParts(err) {
			return got, err
		}
	}
	got, err := s.multiget(ctx, at, q, members, wholeData)
	switch {
	case err == nil:
		s.whole.Store(true)
		return got, nil
	case !isOfOneObject(err):
		return fetched{}, err
	case len(members) == 1:
		return fetched{lost: members}, nil
	default:
		return s.halves(ctx, at, q, members)
	}
}

func (s *session) halves(ctx context.Context, at *url.URL, q providers.Query, members []member) (fetched, error) {
	var got fetched
	half := len(members) / 2
	for _, part := range [][]member{members[:half], members[half:]} {
		more, err := s.batch(ctx, at, q, part)
		if err != nil {
			return fetched{}, err
		}
		got.add(more)
		if len(got.lost) > 2 && got.had == 0 {
			return fetched{}, errBroken
		}
	}
	return got, nil
}

// dislikesParts reports whether the failure of a request for parts of objects
// may be due to that. Xandikos finds no data if one property is missing.
func dislikesParts(err error) bool {
	status := statusIn(err)
	return isOfOneObject(err) || status == http.StatusNotImplemented || status == http.StatusForbidden ||
		providers.FaultOf(err) == providers.Rejected
}

var errBroken = &providers.Error{Code: "broken_answers"}

// isOfOneObject reports whether a single object can be to blame for the failure
// of a request for many: its text breaks the XML, is too large, or trips the
// server.
func isOfOneObject(err error) bool {
	switch providers.CodeOf(err) {
	case errMalformed.Code, errExcessive.Code, transport.CodeTooLarge:
		return true
	default:
		return statusIn(err) == http.StatusInternalServerError
	}
}

// multiget sends one calendar-multiget (RFC 4791 §7.9) and reads the objects as
// they arrive.
func (s *session) multiget(ctx context.Context, at *url.URL, q providers.Query, members []member, data string) (fetched, error) {
	open := make(map[string]member, len(members))
	for _, m := range members {
		open[m.key] = m
	}
	var got fetched
	_, err := s.client.ask(ctx, at, askObjects(members, data), func(base *url.URL, a *answer) error {
		key := keyOf(locate(base, a.href))
		m, wanted := open[key]
		if !wanted {
			return nil
		}
		if etag := versionOf(a.etag); etag != "" {
			m.etag = etag
		}
		switch {
		case isGone(a.status):
			got.Gone = append(got.Gone, m.key)
		case a.dataOversized:
			got.Unreadable = append(got.Unreadable, busy.Unreadable{Key: m.key, Version: m.etag, Problem: busy.ProblemTooLarge})
		case !a.hasData || len(a.data) == 0:
			got.refused = got.refused || a.dataRefused
			return nil // not an answer about this object
		default:
			s.read(&got.Change, m, a.data, q)
		}
		got.had++
		delete(open, key)
		return nil
	})
	if err != nil {
		return fetched{}, err
	}
	for _, m := range members {
		if _, missing := open[m.key]; missing {
			got.lost = append(got.lost, m)
			delete(open, m.key)
		}
	}
	return got, nil
}

// read turns an object into events, and drops all else that it holds.
func (s *session) read(into *busy.Change, m member, data []byte, q providers.Query) {
	version := m.etag
	if version == "" {
		version = "content:" + digest(data)
	}
	read, err := ical.Parse(bytes.NewReader(data), ical.Options{
		Key: m.key, Version: version, Zone: q.Zone, Self: s.grant.Addresses,
	})
	switch {
	case err != nil:
		into.Unreadable = append(into.Unreadable, busy.Unreadable{Key: m.key, Version: version, Problem: ical.ProblemOf(err)})
		return
	case len(read.Problems) > 0:
		into.Unreadable = append(into.Unreadable, busy.Unreadable{Key: m.key, Version: version, Problem: read.Problems[0].Code})
	case len(read.Events) == 0:
		into.Gone = append(into.Gone, m.key) // a task took its place
	}
	into.Events = append(into.Events, read.Events...)
}

// recover fetches one by one the objects that a multiget left out or broke on.
// Those that cannot be had this way either are reported as such: left out, they
// would count as removed.
func (s *session) recover(ctx context.Context, at *url.URL, q providers.Query, all fetched) (fetched, error) {
	lost := all.lost
	all.lost = nil
	if len(lost) > maxLost {
		return fetched{}, errBroken
	}
	for _, m := range lost {
		err := s.client.get(ctx, objectAt(at, m), func(body io.Reader, etag string) error {
			data, err := io.ReadAll(io.LimitReader(body, providers.MaxObject+1))
			if err != nil {
				return err
			}
			if etag = versionOf(etag); etag != "" {
				m.etag = etag
			}
			s.read(&all.Change, m, data, q)
			return nil
		})
		switch status := statusIn(err); {
		case err == nil:
		case isGone(status):
			all.Gone = append(all.Gone, m.key)
		case status == 0, status == http.StatusUnauthorized, providers.FaultOf(err) == providers.Throttled:
			return fetched{}, err
		default:
			all.incomplete = true
			all.Unreadable = append(all.Unreadable, busy.Unreadable{Key: m.key, Problem: busy.ProblemMissing})
		}
	}
	return all, nil
}

// objectAt is the address of an object: its own path, on the collection's host.
func objectAt(collection *url.URL, m member) *url.URL {
	at, href := *collection, locate(collection, m.href)
	at.Path, at.RawPath = href.Path, href.RawPath
	return &at
}
