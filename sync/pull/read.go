package pull

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// errSuspicious ends a run whose complete listing lacks most of what is held. It
// is believed when the next runs read the same.
var errSuspicious = &providers.Error{Code: "listing_shrank"}

// errLooping guards against a provider whose pages never end.
var errLooping = &providers.Error{Code: "endless_pages"}

// maxPages bounds the pages of one run.
const maxPages = 10_000

// read brings the stored calendar up to date with the provider.
func (r *run) read(ctx context.Context) error {
	zone, err := time.LoadLocation(r.work.Zone)
	if err != nil {
		return fmt.Errorf("the calendar's zone: %w", err)
	}
	r.zone = zone
	r.window = r.nextWindow()

	provider, ok := r.providers[r.work.Kind]
	if !ok {
		return &providers.Error{Fault: providers.Operator, Code: "unknown_provider"}
	}
	if r.Gate != nil {
		if ctx, err = r.Gate.Admit(ctx, r.work); err != nil {
			return fmt.Errorf("begin to read: %w", err)
		}
	}
	session, err := provider.Open(ctx, providers.Account{Grant: r.work.Grant, Renew: r.renewGrant})
	if err != nil {
		return fmt.Errorf("open a session: %w", err)
	}
	if closer, ok := session.(io.Closer); ok {
		defer func() { _ = closer.Close() }()
	}

	cursor := providers.Cursor(r.work.Cursor)
	if r.wantsFull() || len(cursor) == 0 {
		cursor = nil
	}
	err = r.readFrom(ctx, session, cursor)
	if cursor != nil && providers.FaultOf(err) == providers.CursorExpired {
		r.restarted = true
		err = r.readFrom(ctx, session, nil)
	}
	if providers.FaultOf(err) == providers.CalendarGone && r.believes() {
		if failed := r.empty(ctx); failed != nil {
			return failed
		}
	}
	if err == nil && r.Upkeep != nil {
		r.Upkeep(ctx, r.work, session)
	}
	return err
}

func (r *run) renewGrant(ctx context.Context, f func(context.Context, busy.Secret) (busy.Secret, error)) (busy.Secret, error) {
	return r.Store.RenewGrant(ctx, r.work.Tenant, r.work.Connection, f)
}

// wantsFull tells whether the run must list the calendar completely.
func (r *run) wantsFull() bool {
	return r.work.WantFull || r.work.Suspicions > 0 || r.began.Sub(r.work.FullAt) >= r.FullEvery
}

// readFrom reads and writes page after page, from cursor on.
func (r *run) readFrom(ctx context.Context, session providers.Session, cursor providers.Cursor) error {
	var seen map[string]struct{} // by a complete listing, so far
	for range maxPages {
		page, err := session.Changes(ctx, providers.Query{
			Remote: r.work.Remote, Cursor: cursor, Window: r.window, Zone: r.work.Zone,
			Version: r.version(ctx),
		})
		if err != nil {
			return fmt.Errorf("read changes: %w", err)
		}
		r.pages++
		if page.Full {
			seen = see(seen, page)
		}
		if err := r.write(ctx, page, seen); err != nil {
			return err
		}
		if !page.More {
			r.full = page.Full
			return nil
		}
		cursor = page.Cursor
	}
	return errLooping
}

// see adds the objects that a page of a complete listing mentions.
func see(seen map[string]struct{}, page providers.Page) map[string]struct{} {
	if seen == nil {
		seen = make(map[string]struct{})
	}
	for _, e := range page.Events {
		seen[e.Key] = struct{}{}
	}
	for _, u := range page.Unreadable {
		seen[u.Key] = struct{}{}
	}
	for _, key := range page.Same {
		seen[key] = struct{}{}
	}
	return seen
}

// write commits one page. Until a complete listing has ended its cursor is not
// kept, nor is the old one once something was written: the calendar could go back
// to what that marks, and what was written would stay. A run that dies before
// begins the listing anew, and finds most objects held.
func (r *run) write(ctx context.Context, page providers.Page, seen map[string]struct{}) error {
	p := busy.Page{Change: page.Change, Window: r.window, Zone: r.work.Zone, At: r.Now()}
	p.Reexpand = !r.expanded && !r.isExpanded()
	if !page.Full || !page.More {
		p.Cursor = page.Cursor
	}
	if page.Full && !page.More {
		if err := r.doubt(ctx, seen); err != nil {
			return err
		}
		p.Seen = seen
	}
	if r.isNothing(p) {
		return nil
	}
	if page.Full && page.More {
		p.Cursor = []byte{}
	}
	tally, err := r.Store.Apply(ctx, r.work.Lease, p, r.expand)
	if err != nil {
		return fmt.Errorf("write a page: %w", err)
	}
	r.expanded = true
	r.tally.Events += tally.Events
	r.tally.Blocks += tally.Blocks
	r.tally.Problems = tally.Problems
	return nil
}

// isExpanded reports whether the stored series are computed in the window and
// the zone of this run.
func (r *run) isExpanded() bool {
	covered := r.work.Covered
	return r.work.Expanded == r.work.Zone && covered.Start.Equal(r.window.Start) && covered.End.Equal(r.window.End)
}

// isNothing reports whether writing the page would change nothing, so that a
// quiet poll costs no transaction.
func (r *run) isNothing(p busy.Page) bool {
	return len(p.Events)+len(p.Gone)+len(p.Unreadable) == 0 && p.Seen == nil && !p.Reexpand &&
		(p.Cursor == nil || string(p.Cursor) == string(r.work.Cursor))
}

// doubt refuses a listing that lacks all, or most, of what is held, unless the
// runs before have read the same. Servers that lost their index answer like this,
// with every sign of success.
func (r *run) doubt(ctx context.Context, seen map[string]struct{}) error {
	if r.believes() {
		return nil
	}
	held, err := r.holding(ctx)
	if err != nil {
		return err
	}
	if held.Objects > 0 && len(seen) == 0 || held.Objects >= 8 && len(seen) < held.Objects/2 {
		return errSuspicious
	}
	return nil
}

// empty removes all that is stored of a calendar that is gone.
func (r *run) empty(ctx context.Context) error {
	p := busy.Page{Seen: map[string]struct{}{}, Window: r.window, Zone: r.work.Zone, At: r.Now()}
	tally, err := r.Store.Apply(ctx, r.work.Lease, p, r.expand)
	r.tally = tally
	if err != nil {
		return fmt.Errorf("empty a calendar that is gone: %w", err)
	}
	return nil
}

func (r *run) expand(ctx context.Context, series []busy.Event) ([]busy.Occurrence, error) {
	return r.Expand.Expand(ctx, series, r.window, r.zone)
}

// holding reads once what the store holds of the calendar.
func (r *run) holding(ctx context.Context) (busy.Held, error) {
	if r.held == nil {
		held, err := r.Store.Held(ctx, r.work.Lease)
		if err != nil {
			return busy.Held{}, fmt.Errorf("read the held versions: %w", err)
		}
		r.held = &held
	}
	return *r.held, nil
}

// version looks a held version up, for the provider. Where the store fails, the
// object is fetched again, and the write that follows meets the failure.
func (r *run) version(ctx context.Context) func(string) (string, bool) {
	return func(key string) (string, bool) {
		held, err := r.holding(ctx)
		if err != nil {
			return "", false
		}
		return held.Version(key)
	}
}

// nextWindow is the span in which blocks are kept. It moves once a day, by more
// than a day, so that computing all series anew is a daily chore and coverage
// never falls short of the horizon.
func (r *run) nextWindow() busy.Span {
	covered := r.work.Covered
	if !covered.Empty() && !covered.End.Before(r.began.Add(r.Horizon)) && !covered.Start.After(r.began.Add(-History)) {
		return covered
	}
	start := r.began.Add(-History).Truncate(time.Hour)
	return busy.Span{Start: start.UTC(), End: r.began.Add(r.Horizon + 25*time.Hour).Truncate(time.Hour).UTC()}
}
