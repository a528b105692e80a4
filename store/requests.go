package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

const (
	keyOfRequest = "requests.key" // where an idempotency key is hashed

	// attempt is how long a request's key belongs to one attempt that has not said
	// how it ended.
	attempt = time.Minute
	// answersKept is for how long a request is remembered.
	answersKept = 24 * time.Hour
)

// sealedOnce is a request as the database knows it.
type sealedOnce struct {
	key    seal.Hash
	answer []byte // nil: none yet
}

func sealOnce(box *seal.Box, once busy.Once) (sealedOnce, error) {
	sealed := sealedOnce{key: box.Hash(keyOfRequest, "", once.Key)}
	if once.Answer == nil {
		return sealed, nil
	}
	plain, err := json.Marshal(once.Answer)
	if err != nil {
		return sealed, fmt.Errorf("write the answer: %w", err)
	}
	sealed.answer, err = box.Seal(answerField, string(sealed.key[:]), plain)
	return sealed, err
}

// Reserve returns the request with the attempt that may carry it out, or the answer
// that it was given. ErrInFlight while another attempt is under way, for at most a
// minute; ErrOtherRequest if the key came with something else in the last 24 hours.
// It is one round trip.
func (s *Store) Reserve(ctx context.Context, tenant busy.TenantID, once busy.Once, now time.Time) (busy.Once, *busy.Answer, error) {
	const doing = "reserve the request"
	box, err := s.box(ctx, tenant)
	if err != nil {
		return once, nil, err
	}
	sealed, err := sealOnce(box, busy.Once{Key: once.Key})
	if err != nil {
		return once, nil, err
	}
	if once.Taken, err = s.drawAttempt(); err != nil {
		return once, nil, err
	}
	var request, answer []byte
	var taken int64
	batch := &pgx.Batch{}
	batch.Queue(setTenant, tenant.String())
	batch.Queue(commitLazily)
	batch.Queue(reserveRequest, arg(tenant), sealed.key[:], once.Request, once.Taken, micros(now),
		micros(now.Add(-attempt)), micros(now.Add(-answersKept)))
	batch.Queue(`select request, taken, answer_sealed from requests where tenant_id = $1 and key = $2`, arg(tenant), sealed.key[:]).
		QueryRow(func(row pgx.Row) error { return row.Scan(&request, &taken, &answer) })
	err = s.app.SendBatch(ctx, batch).Close()
	switch {
	case err != nil:
		return once, nil, failed(doing, err)
	case !bytes.Equal(request, once.Request):
		return once, nil, fmt.Errorf("%s: %w", doing, busy.ErrOtherRequest)
	case answer != nil:
		given, err := openAnswer(box, sealed.key, answer)
		return once, given, err
	case taken != once.Taken:
		return once, nil, fmt.Errorf("%s: %w", doing, busy.ErrInFlight)
	}
	return once, nil, nil
}

// commitLazily spares the wait for the disk: a crash of the database may undo what
// was written in the last second.
const commitLazily = `select set_config('synchronous_commit', 'off', true)`

// reserveRequest takes a key that is new, that was given up, or that is forgotten.
const reserveRequest = `
	insert into requests as r (tenant_id, key, request, taken, taken_at) values ($1, $2, $3, $4, $5)
	on conflict (tenant_id, key) do update
	set request = excluded.request, taken = excluded.taken, taken_at = excluded.taken_at, answer_sealed = null, booking_id = null
	where r.taken_at <= $7 or r.answer_sealed is null and r.taken_at <= $6 and r.request = excluded.request`

func (s *Store) drawAttempt() (int64, error) {
	var b [8]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return 0, fmt.Errorf("draw an attempt: %w", err)
	}
	return int64(binary.BigEndian.Uint64(b[:])), nil
}

func openAnswer(box *seal.Box, key seal.Hash, sealed []byte) (*busy.Answer, error) {
	plain, err := box.Open(answerField, string(key[:]), sealed)
	if err != nil {
		return nil, err
	}
	answer := &busy.Answer{}
	if err := json.Unmarshal(plain, answer); err != nil {
		return nil, errors.Join(errForm, err)
	}
	return answer, nil
}

// Answer keeps the answer of a request that changed nothing. ErrChanged if another
// attempt has taken the request over.
func (s *Store) Answer(ctx context.Context, tenant busy.TenantID, once busy.Once, now time.Time) error {
	box, err := s.box(ctx, tenant)
	if err != nil {
		return err
	}
	sealed, err := sealOnce(box, once)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(setTenant, tenant.String())
	batch.Queue(commitLazily)
	queueAnswer(batch, tenant, once, sealed, busy.BookingID{}, micros(now))
	return proposed("keep the answer", s.app.SendBatch(ctx, batch).Close())
}

// queueAnswer keeps the answer, with which the key is no longer any attempt's. The
// reservation may be missing: a crash can have undone it.
func queueAnswer(batch *pgx.Batch, tenant busy.TenantID, once busy.Once, sealed sealedOnce, booking busy.BookingID, now time.Time) {
	batch.Queue(`
		insert into requests as r (tenant_id, key, request, taken, taken_at, answer_sealed, booking_id)
		values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (tenant_id, key) do update
		set taken = case when r.taken = excluded.taken and r.answer_sealed is null then r.taken else abandon() end,
			answer_sealed = excluded.answer_sealed, booking_id = excluded.booking_id`,
		arg(tenant), sealed.key[:], once.Request, once.Taken, now, sealed.answer, argID(booking))
}

// Purged counts what was removed.
type Purged struct{ Requests, Messages int64 }

// messagesKept is for how long messages can be read.
const messagesKept = 7 * 24 * time.Hour

// Purge removes requests, messages and consents of all tenants that are too old to
// be asked for.
func (s *Store) Purge(ctx context.Context, now time.Time) (Purged, error) {
	var all Purged
	tenants, err := s.Tenants(ctx)
	if err != nil {
		return all, err
	}
	for _, t := range tenants {
		if err := s.purge(ctx, t.ID, now, &all); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (s *Store) purge(ctx context.Context, tenant busy.TenantID, now time.Time, all *Purged) error {
	return s.In(ctx, tenant, func(tx *Tx) error {
		tag, err := tx.Exec(ctx, `delete from requests where tenant_id = $1 and taken_at <= $2`,
			arg(tenant), micros(now.Add(-answersKept)))
		if err != nil {
			return failed("remove old requests", err)
		}
		all.Requests += tag.RowsAffected()
		// Numbers rise with time: nothing behind the first that is kept is looked at.
		tag, err = tx.Exec(ctx, `
			delete from messages where tenant_id = $1 and at <= $2 and seq < coalesce(
				(select seq from messages where tenant_id = $1 and at > $2 order by seq limit 1), 9223372036854775807)`,
			arg(tenant), micros(now.Add(-messagesKept)))
		if err != nil {
			return failed("remove old messages", err)
		}
		all.Messages += tag.RowsAffected()
		_, err = tx.Exec(ctx, `delete from consents where tenant_id = $1 and expires_at <= $2`, arg(tenant), micros(now))
		return failed("remove old consents", err)
	})
}
