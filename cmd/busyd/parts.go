package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// parts are goroutines that stop together: when they are told to, when the
// context of newParts is done, or when one of them ends.
type parts struct {
	stopping context.Context
	stop     context.CancelFunc

	all     sync.WaitGroup
	mu      sync.Mutex
	running map[string]bool
	err     error
}

func newParts(ctx context.Context) *parts {
	p := &parts{running: map[string]bool{}}
	p.stopping, p.stop = context.WithCancel(ctx)
	return p
}

func (p *parts) start(name string, f func(ctx context.Context) error) {
	p.mu.Lock()
	p.running[name] = true
	p.mu.Unlock()
	p.all.Go(func() { p.ended(name, f(p.stopping)) })
}

func (p *parts) ended(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = errors.Join(p.err, err)
	delete(p.running, name)
	p.stop()
}

// wait returns the parts' errors once all have ended, or names those that have
// not when ctx ends.
func (p *parts) wait(ctx context.Context) error {
	idle := make(chan struct{})
	go func() {
		p.all.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if names := slices.Sorted(maps.Keys(p.running)); len(names) > 0 {
		return errors.Join(p.err, fmt.Errorf("did not stop in time: %s", strings.Join(names, ", ")))
	}
	return p.err
}
