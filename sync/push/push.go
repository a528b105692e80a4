// Package push has providers say when something has changed: it keeps watches
// alive and takes callbacks in. A callback is a hint, never believed: it makes a
// calendar due, and the sync that follows asks the provider. Polling goes on
// underneath, so that a callback that is lost costs one poll interval.
package push

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Store is what push needs of the database.
type Store interface {
	NewWatchID(tenant busy.TenantID) (id string, token busy.Secret, err error)
	Watches(ctx context.Context, tenant busy.TenantID, connection busy.ConnectionID) ([]busy.Watch, error)
	SaveWatch(ctx context.Context, tenant busy.TenantID, w busy.Watch, token busy.Secret) error
	// Pushed is a busy.ErrNotFound for a watch that there is not and for a token
	// that is not the watch's.
	Pushed(ctx context.Context, id string, token busy.Secret, lapse busy.Lapse, now time.Time) ([]busy.Task, error)
}

// Keeper keeps watches alive. It rides on the runs that poll a calendar anyway,
// and so needs no schedule of its own.
type Keeper struct {
	Store Store
	// Callback is the public address of [Handler] for a kind of provider; empty:
	// none, and nothing is watched.
	Callback func(busy.Kind) string
	// Ahead is how long before its end a watch is prolonged. It must be longer than
	// the time between two polls of a calendar.
	Ahead time.Duration
	Now   func() time.Time
	Log   *slog.Logger

	mu      sync.Mutex
	refused map[busy.ConnectionID]time.Time // when to ask again
}

const (
	// watchFor is how long a watch is asked for; providers allow seven days.
	watchFor = 6 * 24 * time.Hour
	// refusedFor is how long a provider that would not watch is left in peace.
	refusedFor = time.Hour
)

// Keep makes or prolongs the watch of the calendar that a run has read. It fails
// silently but for the log: without a watch, there is polling.
func (k *Keeper) Keep(ctx context.Context, work busy.Work, session providers.Session) {
	watcher, ok := session.(providers.Watcher)
	if !ok || work.WatchedUntil.After(k.Now().Add(k.Ahead)) {
		return
	}
	callback := k.Callback(work.Kind)
	if callback == "" || k.wasRefused(work.Connection) {
		return
	}
	if err := k.keep(ctx, work, watcher, callback); err != nil && ctx.Err() == nil {
		k.refuse(work.Connection)
		k.Log.Warn("cannot be called back", "tenant", work.Tenant, "provider", work.Kind, "code", providers.CodeOf(err))
	}
}

func (k *Keeper) keep(ctx context.Context, work busy.Work, watcher providers.Watcher, callback string) error {
	id, token, err := k.Store.NewWatchID(work.Tenant)
	if err != nil {
		return err
	}
	request := providers.WatchRequest{
		ID: id, Token: token, Callback: callback, Remote: work.Remote, Until: k.Now().Add(watchFor),
	}
	calendar := work.Calendar
	if watcher.WatchesAccount() {
		request.Remote, calendar = nil, busy.CalendarID{}
	}
	old, err := k.old(ctx, work, calendar)
	if err != nil {
		return err
	}
	made, err := k.watch(ctx, watcher, old, request)
	if err != nil {
		return err
	}
	saved := busy.Watch{
		ID: id, Connection: work.Connection, Calendar: calendar, Handle: made.Handle, Expires: made.Expires,
	}
	if err := k.Store.SaveWatch(ctx, work.Tenant, saved, token); err != nil {
		_ = watcher.Unwatch(ctx, made) // nobody would know what it is about
		return err
	}
	if old.Handle != nil && string(old.Handle) != string(made.Handle) {
		return watcher.Unwatch(ctx, old)
	}
	return nil
}

// old is the watch there is of the calendar; one that has ended is none.
func (k *Keeper) old(ctx context.Context, work busy.Work, calendar busy.CalendarID) (providers.Watch, error) {
	if work.WatchedUntil.IsZero() {
		return providers.Watch{}, nil
	}
	watches, err := k.Store.Watches(ctx, work.Tenant, work.Connection)
	for _, w := range watches {
		if w.Calendar == calendar && !w.Ended {
			return providers.Watch{ID: w.ID, Handle: w.Handle, Expires: w.Expires}, err
		}
	}
	return providers.Watch{}, err
}

func (k *Keeper) watch(ctx context.Context, watcher providers.Watcher, old providers.Watch, request providers.WatchRequest) (providers.Watch, error) {
	if old.Handle == nil {
		return watcher.Watch(ctx, request)
	}
	return watcher.Rewatch(ctx, old, request)
}

func (k *Keeper) wasRefused(id busy.ConnectionID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	until, ok := k.refused[id]
	if ok && !k.Now().Before(until) {
		delete(k.refused, id)
		return false
	}
	return ok
}

func (k *Keeper) refuse(id busy.ConnectionID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refused == nil {
		k.refused = make(map[busy.ConnectionID]time.Time)
	}
	k.refused[id] = k.Now().Add(refusedFor)
}
