package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/store"
)

// health answers those who watch the process.
type health struct {
	store *store.Store
	redis queue.Redis
	// needsRedis: without it there is nothing this process can do. A process that
	// answers questions can: Redis holds hints only.
	needsRedis bool
}

// live says that the process runs.
func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	answerHealth(w, http.StatusOK, map[string]string{"status": "ok"})
}

// ready says whether the process can do its work, and names what is away. The
// migrations were checked when the store was opened.
func (h *health) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	database, redis := h.store.Ping(ctx), h.redis.Ping(ctx).Err()
	status := http.StatusOK
	if database != nil || redis != nil && h.needsRedis {
		status = http.StatusServiceUnavailable
	}
	answerHealth(w, status, map[string]string{"database": okOrAway(database), "redis": okOrAway(redis)})
}

func okOrAway(err error) string {
	if err != nil {
		return "away"
	}
	return "ok"
}

func answerHealth(w http.ResponseWriter, status int, parts map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(parts) // whoever asked is gone
}
