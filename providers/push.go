package providers

import (
	"context"
	"net/http"
	"time"

	"github.com/busyd/busyd/busy"
)

// Watcher is a session whose provider calls back when something has changed. A
// callback is a hint: some are lost, late, or come twice, and polling goes on.
type Watcher interface {
	// WatchesAccount: one watch covers all calendars of the account.
	WatchesAccount() bool
	// Watch asks the provider to call back.
	Watch(ctx context.Context, w WatchRequest) (Watch, error)
	// Rewatch prolongs a watch. It may return another one, with a handle of its
	// own and the request's ID; the caller then ends the old one.
	Rewatch(ctx context.Context, old Watch, w WatchRequest) (Watch, error)
	// Unwatch ends a watch. One that the provider does not know any more has ended.
	Unwatch(ctx context.Context, w Watch) error
}

// WatchRequest asks for callbacks.
type WatchRequest struct {
	ID       string      // of the watch, chosen by us: 1 to 64 of [A-Za-z0-9-]
	Token    busy.Secret // comes back with each callback; at most 128 bytes
	Callback string      // https URL
	Remote   busy.Secret // the calendar; nil where the watch covers the account
	Until    time.Time   // at most; the provider may choose less
}

// Watch is a provider's promise to call back.
type Watch struct {
	ID      string
	Handle  busy.Secret // the provider's name for it
	Expires time.Time
}

// Listener is a session whose provider tells of changes over a connection that we
// make, and so needs no address of ours.
type Listener interface {
	// Listen calls changed when something may have changed in the account, until
	// the context ends or an error does it. What is told is a hint, as a callback is.
	Listen(ctx context.Context, changed func()) error
}

// Receiver is a provider that understands the callbacks of its watches.
type Receiver interface {
	// Receive reads a callback. Nothing in it is to be believed: the caller
	// compares each hint's token with the watch's. The body is capped already.
	Receive(r *http.Request) (Notice, error)
}

// Notice is what a callback says.
type Notice struct {
	// Reply, if not nil, is the text that proves to the provider that the address
	// is ours; it is answered with 200 and text/plain.
	Reply []byte
	Hints []Hint
}

// Hint says what happened to a watch.
type Hint struct {
	Watch string // its ID
	Token busy.Secret
	News  News
}

// News is what a hint is about.
type News uint8

// The news.
const (
	Changed  News = iota // something may have changed
	Missed               // callbacks were lost: look
	Expiring             // the watch must be prolonged now
	Ended                // the provider ended the watch: make another, and look
	Nothing              // the watch exists
)
