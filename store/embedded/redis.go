package embedded

import (
	"context"
	"fmt"

	"github.com/alicebob/miniredis/v2"
)

// Redis is a Redis in this process. It holds nothing on disk.
type Redis struct{ server *miniredis.Miniredis }

// StartRedis listens on addr, such as "127.0.0.1:0" for a free port. Keys expire
// by the clock of the machine.
func StartRedis(_ context.Context, addr string) (*Redis, error) {
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true)
	if err := server.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("start the embedded Redis on %s: %w", addr, err)
	}
	return &Redis{server: server}, nil
}

// Addr is the host and port that it listens on.
func (r *Redis) Addr() string { return r.server.Addr() }

// Flush forgets every key.
func (r *Redis) Flush() { r.server.FlushAll() }

// Close stops it and cuts its clients off.
func (r *Redis) Close() { r.server.Close() }
