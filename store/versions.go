package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/store/seal"
)

// keyField is where a provider's key of an object is hashed; a series is one too.
const keyField = "events.key"

// Held returns how many objects are held, and in which version. One that could
// not be had or understood counts and has no version, so that a listing fetches
// it again. ErrFenced.
func (s *Store) Held(ctx context.Context, l busy.Lease) (busy.Held, error) {
	versions := make(map[seal.Hash]string)
	var objects int
	var box *seal.Box
	err := s.In(ctx, l.Tenant, func(tx *Tx) error {
		mirror, err := tx.readMirror(ctx, l)
		if err != nil {
			return err
		}
		box = mirror.box
		rows, err := tx.Query(ctx, `
			select key, version, problem from events where tenant_id = $1 and calendar_id = $2`, arg(l.Tenant), arg(l.Calendar))
		if err != nil {
			return failed("read versions", err)
		}
		objects, err = collectVersions(rows, versions)
		return failed("read versions", err)
	})
	if err != nil {
		return busy.Held{}, err
	}
	calendar := string(l.Calendar[:])
	return busy.Held{
		Objects: objects,
		Version: func(key string) (string, bool) {
			version, held := versions[box.Hash(keyField, calendar, key)]
			return version, held
		},
	}, nil
}

var errForm = errors.New("a stored value does not have its form")

func collectVersions(rows pgx.Rows, versions map[seal.Hash]string) (objects int, err error) {
	defer rows.Close()
	lacking := make(map[seal.Hash]bool)
	for rows.Next() {
		raw := rows.RawValues()
		if len(raw[0]) != len(seal.Hash{}) {
			return 0, errForm
		}
		key := seal.Hash(raw[0])
		switch busy.Problem(raw[2]) {
		case busy.ProblemUnreadable, busy.ProblemMissing:
			lacking[key] = true
		}
		versions[key] = string(raw[1])
	}
	objects = len(versions)
	for key := range lacking {
		delete(versions, key)
	}
	return objects, rows.Err()
}
