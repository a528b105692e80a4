package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
)

const handleField = "watches.handle"

// NewWatchID draws the id of a watch and the token that proves a callback is
// about it. The id is 64 hexadecimal digits, of which the first 32 are the
// tenant's: a callback brings nothing else to find it by.
func (s *Store) NewWatchID(tenant busy.TenantID) (id string, token busy.Secret, err error) {
	var drawn [16 + 32]byte
	if _, err := io.ReadFull(s.random, drawn[:]); err != nil {
		return "", nil, fmt.Errorf("draw a watch: %w", err)
	}
	return hex.EncodeToString(tenant[:]) + hex.EncodeToString(drawn[:16]), busy.Secret(hex.EncodeToString(drawn[16:])), nil
}

func parseWatchID(id string) (tenant busy.TenantID, watch [16]byte, ok bool) {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != len(tenant)+len(watch) {
		return tenant, watch, false
	}
	return busy.TenantID(raw[:16]), [16]byte(raw[16:]), true
}

// Watches lists the watches of a connection.
func (s *Store) Watches(ctx context.Context, tenant busy.TenantID, connection busy.ConnectionID) ([]busy.Watch, error) {
	var watches []busy.Watch
	err := s.In(ctx, tenant, func(tx *Tx) (err error) {
		watches, err = tx.watches(ctx, connection, nil)
		return err
	})
	return watches, err
}

// watches lists a connection's watches, or those of one of its calendars alone.
func (tx *Tx) watches(ctx context.Context, connection busy.ConnectionID, calendar *[16]byte) ([]busy.Watch, error) {
	rows, err := tx.Query(ctx, `
		select id, calendar_id, handle_sealed, expires_at, ended from watches
		where tenant_id = $1 and connection_id = $2 and ($3::uuid is null or calendar_id = $3)`,
		arg(tx.Tenant), arg(connection), calendar)
	if err != nil {
		return nil, failed("list watches", err)
	}
	type stored struct {
		busy.Watch
		id     [16]byte
		sealed []byte
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (stored, error) {
		w := stored{Watch: busy.Watch{Connection: connection}}
		var of *[16]byte
		err := row.Scan(&w.id, &of, &w.sealed, intoTime(&w.Expires), &w.Ended)
		if of != nil {
			w.Calendar = *of
		}
		return w, err
	})
	if err != nil || len(found) == 0 {
		return nil, failed("list watches", err)
	}
	box, err := tx.Box(ctx)
	if err != nil {
		return nil, err
	}
	watches := make([]busy.Watch, len(found))
	for i, w := range found {
		w.ID = hex.EncodeToString(tx.Tenant[:]) + hex.EncodeToString(w.id[:])
		if w.Handle, err = box.Open(handleField, string(w.id[:]), w.sealed); err != nil {
			return nil, err
		}
		watches[i] = w.Watch
	}
	return watches, nil
}

// SaveWatch stores a watch in place of the one there was of the same calendars.
// ErrFenced if its connection is disconnected or its calendar not selected: the
// caller then ends the watch.
func (s *Store) SaveWatch(ctx context.Context, tenant busy.TenantID, w busy.Watch, token busy.Secret) error {
	_, id, ok := parseWatchID(w.ID)
	if !ok {
		return busy.Invalid("watch", "must be an id that the store drew")
	}
	return s.In(ctx, tenant, func(tx *Tx) error {
		if _, err := tx.lockGrant(ctx, w.Connection); err != nil {
			return err
		}
		box, err := tx.Box(ctx)
		if err != nil {
			return err
		}
		sealed, err := box.Seal(handleField, string(id[:]), w.Handle)
		if err != nil {
			return err
		}
		hash := sha256.Sum256(token)
		// A calendar is locked before its watches, by everybody.
		if _, err := tx.Exec(ctx, `select from calendars where tenant_id = $1 and id = $2 for share`,
			arg(tenant), argID(w.Calendar)); err != nil {
			return failed("lock the calendar", err)
		}
		if _, err := tx.Exec(ctx, `
			delete from watches where tenant_id = $1 and connection_id = $2 and calendar_id is not distinct from $3`,
			arg(tenant), arg(w.Connection), argID(w.Calendar)); err != nil {
			return failed("replace the watch", err)
		}
		tag, err := tx.Exec(ctx, `
			insert into watches (tenant_id, id, connection_id, calendar_id, handle_sealed, token_hash, expires_at)
			select $1, $2, $3, $4, $5, $6, $7
			where $4::uuid is null or exists (
				select from calendars where tenant_id = $1 and id = $4 and connection_id = $3 and selected)`,
			arg(tenant), id, arg(w.Connection), argID(w.Calendar), sealed, hash[:], micros(w.Expires))
		if err == nil && tag.RowsAffected() == 0 {
			err = busy.ErrFenced
		}
		return failed("store the watch", err)
	})
}

// Pushed takes a callback in: the watch with the id, if the token is its, makes
// its calendars due, and their tasks are returned. What lapses is noted for the run
// that follows. ErrNotFound for a watch that there is not and for
// a token that is wrong, which nobody can tell apart.
func (s *Store) Pushed(ctx context.Context, id string, token busy.Secret, lapse busy.Lapse, now time.Time) ([]busy.Task, error) {
	tenant, watch, ok := parseWatchID(id)
	if !ok {
		return nil, failed("find the watch", busy.ErrNotFound)
	}
	hash := sha256.Sum256(token)
	var tasks []busy.Task
	err := s.In(ctx, tenant, func(tx *Tx) error {
		var expected []byte
		var connection busy.ConnectionID
		var calendar *[16]byte
		err := tx.QueryRow(ctx, `
			select token_hash, connection_id, calendar_id from watches where tenant_id = $1 and id = $2`, arg(tenant), watch).
			Scan(&expected, into(&connection), &calendar)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && subtle.ConstantTimeCompare(expected, hash[:]) == 0 {
			return failed("find the watch", busy.ErrNotFound)
		}
		if err != nil {
			return failed("find the watch", err)
		}
		tasks, err = tx.want(ctx, (*[16]byte)(&connection), calendar, busy.UrgencyPushed, false, now)
		if err != nil || lapse == busy.Lasts {
			return err
		}
		_, err = tx.Exec(ctx, `
			update watches set ended = ended or $3, expires_at = least(expires_at, $4) where tenant_id = $1 and id = $2`,
			arg(tenant), watch, lapse == busy.Ended, micros(now))
		return failed("note that the watch ends", err)
	})
	return tasks, err
}
