package booking

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	"github.com/busyd/busyd/busy"
)

// HoldRequest asks to keep a meeting's time for a while.
type HoldRequest struct {
	Service   busy.ServiceID
	Start     time.Time
	Resources []busy.ResourceID // that must serve it; none: whoever is free
	Seats     int               // 0 is 1
	TTL       time.Duration     // until it expires; positive
	Prefix    string            // of the token, to tell who made it; empty: "hold_"
	Details   *busy.Details
	Once      *Once // nil: no key
}

// Hold keeps a meeting's time until the TTL is over. The token is what its owner
// renews and books it with; it is not stored.
func (d *Desk) Hold(ctx context.Context, tenant busy.TenantID, r HoldRequest) (busy.Booking, string, error) {
	if r.TTL <= 0 {
		return busy.Booking{}, "", busy.Invalid("ttl", "must be positive")
	}
	token, err := newToken(d.Random, cmp.Or(r.Prefix, "hold_"))
	if err != nil {
		return busy.Booking{}, "", err
	}
	w := wanted{service: r.Service, start: r.Start, resources: r.Resources, seats: r.Seats, once: r.Once, token: token}
	b := busy.Booking{State: busy.BookingHeld, Owner: ownerOf(token), Details: r.Details}
	b, err = d.create(ctx, tenant, w, b, func(b *busy.Booking, now time.Time) { b.ExpiresAt = now.Add(r.TTL) })
	if err != nil {
		return busy.Booking{}, "", err
	}
	return b, token, nil
}

// Renew lets a hold expire the ttl from now.
func (d *Desk) Renew(ctx context.Context, tenant busy.TenantID, id busy.BookingID, token string, ttl time.Duration, once *Once) (busy.Booking, error) {
	if ttl <= 0 {
		return busy.Booking{}, busy.Invalid("ttl", "must be positive")
	}
	return d.change(ctx, tenant, id, 0, once, func(b *busy.Booking, now time.Time) (busy.MessageType, error) {
		if err := owned(*b, token); err != nil {
			return "", err
		}
		b.ExpiresAt = now.Add(ttl)
		return "", nil
	})
}

// owned reports as an error that the booking is no hold, or not the token's.
func owned(b busy.Booking, token string) error {
	if b.State != busy.BookingHeld {
		return &Refusal{Cause: CauseState}
	}
	if subtle.ConstantTimeCompare(ownerOf(token), b.Owner) != 1 {
		return ErrToken
	}
	return nil
}

func ownerOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

func newToken(random io.Reader, prefix string) (string, error) {
	var secret [32]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return "", fmt.Errorf("draw a token: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(secret[:]), nil
}
