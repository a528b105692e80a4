package push

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Bounds of a callback.
const (
	maxBody = 1 << 20
	// maxHints is more than a provider sends at once.
	maxHints = 1000
	// perSecond and burst bound the hints that all callers may send to one daemon.
	perSecond, burst = 500, 2000
)

// Handler takes callbacks in. To a stranger it says nothing: whether a watch
// exists, and whether a token is right, cannot be told from its answers.
type Handler struct {
	Store     Store
	Receivers map[busy.Kind]providers.Receiver
	// Enqueue sends the tasks of what became due; where it fails, the sweep finds
	// them.
	Enqueue func(ctx context.Context, tasks []busy.Task) error
	// Observe, if set, is told of each hint: known, or from a stranger.
	Observe func(kind busy.Kind, known bool)
	Now     func() time.Time
	Log     *slog.Logger

	limit *rate.Limiter
}

// NewHandler returns h, ready to serve.
func NewHandler(h Handler) *Handler {
	h.limit = rate.NewLimiter(perSecond, burst)
	return &h
}

// ServeHTTP serves the callbacks of the provider whose kind is the path's last
// element, {kind}.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := busy.Kind(r.PathValue("kind"))
	receiver, ok := h.Receivers[kind]
	if !ok || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if !h.limit.Allow() {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	notice, err := receiver.Receive(r)
	switch {
	case err != nil || len(notice.Hints) > maxHints:
		w.WriteHeader(http.StatusNotFound)
	case len(notice.Hints) > 1 && !h.limit.AllowN(time.Now(), len(notice.Hints)-1): // each is asked of the database
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case notice.Reply != nil:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(notice.Reply)
	case h.take(r.Context(), kind, notice.Hints) != nil:
		w.WriteHeader(http.StatusServiceUnavailable) // the provider sends it again
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// take makes due what the hints are about. An error is the database's.
func (h *Handler) take(ctx context.Context, kind busy.Kind, hints []providers.Hint) error {
	var due []busy.Task
	for _, hint := range hints {
		if hint.News == providers.Nothing {
			continue
		}
		tasks, err := h.Store.Pushed(ctx, hint.Watch, hint.Token, lapseOf(hint.News), h.Now())
		known := !errors.Is(err, busy.ErrNotFound)
		if h.Observe != nil {
			h.Observe(kind, known)
		}
		if !known {
			continue
		}
		if err != nil {
			h.Log.Warn("a callback could not be taken in", "provider", kind, "error", err.Error())
			return err
		}
		due = append(due, tasks...)
	}
	if len(due) > 0 {
		if err := h.Enqueue(ctx, due); err != nil {
			h.Log.Warn("tasks of a callback wait for the sweep", "provider", kind, "error", err.Error())
		}
	}
	return nil
}

func lapseOf(n providers.News) busy.Lapse {
	switch n {
	case providers.Expiring:
		return busy.Expires
	case providers.Ended:
		return busy.Ended
	default:
		return busy.Lasts
	}
}
