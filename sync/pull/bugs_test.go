package pull_test

import (
	"context"
	"slices"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/sync/pull"
)

// bug puts a known one into the parts of a worker.
type bug func(pull.Store, providers.Provider) (pull.Store, providers.Provider)

// inStore is a bug that shows in what is asked of the store.
func inStore(wrap func(pull.Store) pull.Store) bug {
	return func(s pull.Store, p providers.Provider) (pull.Store, providers.Provider) { return wrap(s), p }
}

// cursorFirst saves the cursor in a transaction of its own.
type cursorFirst struct{ pull.Store }

func (s cursorFirst) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	first := busy.Page{Cursor: p.Cursor, Window: p.Window, Zone: p.Zone}
	if _, err := s.Store.Apply(ctx, l, first, expand); err != nil {
		return busy.Tally{}, err
	}
	return s.Store.Apply(ctx, l, p, expand)
}

// sweepAlways takes each page for all there is.
type sweepAlways struct{ pull.Store }

func (s sweepAlways) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	p.Seen = map[string]struct{}{}
	return s.Store.Apply(ctx, l, p, expand)
}

// credulous never notices that a listing lacks what is held.
type credulous struct{ pull.Store }

func (s credulous) Held(ctx context.Context, l busy.Lease) (busy.Held, error) {
	held, err := s.Store.Held(ctx, l)
	held.Objects = 0
	return held, err
}

// unexceptional writes series without their exceptions.
type unexceptional struct{ pull.Store }

func (s unexceptional) Apply(ctx context.Context, l busy.Lease, p busy.Page, expand busy.Expand) (busy.Tally, error) {
	p.Events = slices.DeleteFunc(slices.Clone(p.Events), func(e busy.Event) bool { return !e.Original.IsZero() })
	return s.Store.Apply(ctx, l, p, expand)
}

// deleteFirst answers an expired cursor by deleting what is held, before the
// calendar is listed anew.
func deleteFirst(s pull.Store, p providers.Provider) (pull.Store, providers.Provider) {
	d := &deleting{Store: s, Provider: p}
	return d, d
}

type deleting struct {
	pull.Store
	providers.Provider
	lease busy.Lease
}

func (d *deleting) Take(ctx context.Context, t busy.Task, now time.Time, lease time.Duration) (busy.Work, error) {
	w, err := d.Store.Take(ctx, t, now, lease)
	d.lease = w.Lease
	return w, err
}

func (d *deleting) Open(ctx context.Context, a providers.Account) (providers.Session, error) {
	session, err := d.Provider.Open(ctx, a)
	return deletingSession{session, d}, err
}

type deletingSession struct {
	providers.Session
	worker *deleting
}

func (s deletingSession) Changes(ctx context.Context, q providers.Query) (providers.Page, error) {
	page, err := s.Session.Changes(ctx, q)
	if q.Cursor == nil || providers.FaultOf(err) != providers.CursorExpired {
		return page, err
	}
	all := busy.Page{Seen: map[string]struct{}{}, Window: q.Window, Zone: q.Zone}
	if _, failed := s.worker.Apply(ctx, s.worker.lease, all, nil); failed != nil {
		return providers.Page{}, failed
	}
	return page, err
}
