package connect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

const (
	// partFor bounds how long a caller waits for a provider to be told. What is
	// not said by then is said later.
	partFor = 5 * time.Second
	// sayFor bounds one attempt.
	sayFor = 30 * time.Second
	// again is how long an attempt that nobody hears of again is waited for.
	again = 2 * time.Minute
	// look is how often farewells that failed are looked for.
	look = 15 * time.Second
	// firstPause doubles with each attempt up to longestPause.
	firstPause, longestPause = 30 * time.Second, 24 * time.Hour
	// watchTries is how many attempts, half an hour in all, may fail to end the
	// watches. They lapse by themselves within days, and the grant does not.
	watchTries = 6
)

// Disconnect ends a connection for good. When it returns, the credential, the
// calendars and the blocks are gone and nothing more is written; the provider was
// told, or will be as soon as it can be reached.
func (s *Service) Disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) error {
	if err := s.disconnect(ctx, tenant, id); err != nil {
		return err
	}
	s.sayAll(ctx, tenant)
	return nil
}

func (s *Service) disconnect(ctx context.Context, tenant busy.TenantID, id busy.ConnectionID) error {
	connection, err := s.Store.Connection(ctx, tenant, id)
	if err != nil {
		return err
	}
	_, revokes := s.providers[connection.Kind].(providers.Revoker)
	_, calls := s.providers[connection.Kind].(providers.Receiver)
	return s.Store.Disconnect(ctx, tenant, id, revokes || calls, s.Now())
}

// DisconnectAll disconnects every connection of a tenant and returns how many
// providers could not be told yet.
func (s *Service) DisconnectAll(ctx context.Context, tenant busy.TenantID) (untold int, err error) {
	connections, err := s.Store.Connections(ctx, tenant)
	if err != nil {
		return 0, err
	}
	for _, c := range connections {
		if err := s.disconnect(ctx, tenant, c.ID); err != nil {
			return 0, err
		}
	}
	s.sayAll(ctx, tenant)
	left, err := s.Store.Farewells(ctx, tenant)
	return len(left), err
}

// Downgrade takes calendars out of a tenant's plan, or puts them back. Taking
// them out disconnects every connection, and no new one can be made.
func (s *Service) Downgrade(ctx context.Context, tenant busy.TenantID, downgraded bool) error {
	if err := s.Store.Downgrade(ctx, tenant, downgraded, s.Now()); err != nil || !downgraded {
		return err
	}
	_, err := s.DisconnectAll(ctx, tenant)
	return err
}

// sayAll says a tenant's farewells, as far as there is time.
func (s *Service) sayAll(ctx context.Context, tenant busy.TenantID) {
	ctx, cancel := context.WithTimeout(ctx, partFor)
	defer cancel()
	ids, err := s.Store.Farewells(ctx, tenant)
	if err != nil {
		return // they are due, and Run finds them
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			return
		}
		s.say(ctx, id)
	}
}

// Run says farewells that could not be said at once, until ctx is done. Any
// number of daemons may.
func (s *Service) Run(ctx context.Context) {
	for {
		s.Look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(busy.Jitter(look, s.Random())):
		}
	}
}

// Look says the farewells that are due.
func (s *Service) Look(ctx context.Context) {
	ids, err := s.Store.ClaimFarewells(ctx, s.Now(), 20, again)
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("cannot look for farewells", "error", err.Error())
	}
	for _, id := range ids {
		s.say(ctx, id)
	}
}

// say makes one attempt, and notes how it went.
func (s *Service) say(ctx context.Context, id busy.FarewellID) {
	f, err := s.Store.Farewell(ctx, id)
	if errors.Is(err, busy.ErrNotFound) {
		return // another daemon has said it
	}
	if err == nil {
		within, cancel := context.WithTimeout(ctx, sayFor)
		err = s.tell(within, id, f)
		cancel()
	}
	if err != nil {
		s.Log.Warn("a provider could not be told of a disconnection", "tenant", id.Tenant, "provider", f.Kind,
			"code", providers.CodeOf(err), "attempts", f.Attempts+1)
	}
	pause := min(firstPause<<min(f.Attempts, 12), longestPause)
	// The note is made even where the attempt used up the time.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), partFor)
	defer cancel()
	if err := s.Store.Settle(ctx, id, err == nil, s.Now().Add(pause)); err != nil {
		s.Log.Warn("cannot note a farewell", "tenant", id.Tenant, "error", err.Error())
	}
}

// tell ends the watches and withdraws the grant. A grant that the provider has
// withdrawn itself is as good as told.
func (s *Service) tell(ctx context.Context, id busy.FarewellID, f busy.Farewell) error {
	provider, ok := s.providers[f.Kind]
	if !ok {
		return &providers.Error{Fault: providers.Operator, Code: "unknown_provider"}
	}
	err := s.endWatches(ctx, provider, f)
	if err != nil && providers.FaultOf(err) != providers.Revoked && f.Attempts < watchTries {
		return fmt.Errorf("end the watches: %w", err)
	}
	revoker, ok := provider.(providers.Revoker)
	if !ok {
		return nil
	}
	if len(f.Watches) > 0 { // that took time, in which the account may have been connected anew
		f, err = s.Store.Farewell(ctx, id)
		if errors.Is(err, busy.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for other connections: %w", err)
		}
	}
	if f.Shared {
		return nil
	}
	if err := revoker.Revoke(ctx, f.Grant); err != nil && providers.FaultOf(err) != providers.Revoked {
		return fmt.Errorf("withdraw the grant: %w", err)
	}
	return nil
}

func (s *Service) endWatches(ctx context.Context, provider providers.Provider, f busy.Farewell) error {
	if len(f.Watches) == 0 {
		return nil
	}
	session, err := provider.Open(ctx, providers.Account{Grant: f.Grant})
	if err != nil {
		return err
	}
	watcher, ok := session.(providers.Watcher)
	if !ok {
		return nil
	}
	for _, w := range f.Watches {
		if err := watcher.Unwatch(ctx, providers.Watch{ID: w.ID, Handle: w.Handle, Expires: w.Expires}); err != nil {
			return err
		}
	}
	return nil
}
