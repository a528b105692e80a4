package busy

import "time"

// Watch is a provider's promise to call back when something has changed.
type Watch struct {
	// ID is what the provider knows the watch by, and sends along.
	ID         string
	Connection ConnectionID
	Calendar   CalendarID // zero: all calendars of the connection
	Handle     Secret     // the provider's name for it
	Expires    time.Time
	Ended      bool // the provider says that it ended
}

// Lapse is what a callback says of the watch itself.
type Lapse uint8

// The lapses.
const (
	Lasts   Lapse = iota
	Expires       // it must be prolonged now
	Ended         // it is over: another must be made
)

// Farewell is what a provider still has to be told of a connection that is no
// more.
type Farewell struct {
	Kind    Kind
	Grant   Secret  // to withdraw
	Watches []Watch // to end
	// Shared: another connection, of whatever tenant, reads the same account, and
	// withdrawing the grant could withdraw that one's too.
	Shared   bool
	Attempts int // that failed
}
