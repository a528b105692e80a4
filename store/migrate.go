package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate brings the schema up to date as the owner of the database, makes the
// roles and grants them to the owner's login. It returns how many migrations it
// applied. Any number may run at once.
func Migrate(ctx context.Context, ownerURL string) (int, error) {
	config, err := pgx.ParseConfig(ownerURL)
	if err != nil {
		return 0, fmt.Errorf("the database URL cannot be understood: %w", err)
	}
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	provider, err := migrator(db)
	if err != nil {
		return 0, err
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return 0, explainMigrate(err)
	}
	if _, err := db.ExecContext(ctx, grantRoles); err != nil {
		return len(results), explainMigrate(err)
	}
	return len(results), nil
}

func migrator(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300)) // looks each second
	if err != nil {
		return nil, fmt.Errorf("lock the migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
	if err != nil {
		return nil, fmt.Errorf("read the migrations: %w", err)
	}
	return provider, nil
}

// grantRoles lets a login that owns the database also be the application's. A
// concurrent grant of the same role is as good as ours.
const grantRoles = `
do $$
declare
  role text;
begin
  foreach role in array array['busyd_app', 'busyd_sweep', 'busyd_gate'] loop
    if not pg_has_role(current_user, role, 'member') then
      begin
        execute format('grant %I to %I', role, current_user);
      exception
        when unique_violation or internal_error then null;
      end;
    end if;
  end loop;
end
$$`

func explainMigrate(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42501" {
		return fmt.Errorf("migrate: the login must own the database and may need CREATEROLE; or let an administrator run "+
			"`create role busyd_app; create role busyd_sweep; create role busyd_gate;` and grant them to it: %w", err)
	}
	return fmt.Errorf("migrate: %w", err)
}

// latestVersion is that of the newest migration in the program.
func latestVersion() (int64, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("read the migrations: %w", err)
	}
	return goose.NumericComponent(names[len(names)-1])
}

// checkVersion fails if the schema is older than the program. A newer one is
// fine: that is a rolling upgrade.
func (s *Store) checkVersion(ctx context.Context) error {
	want, err := latestVersion()
	if err != nil {
		return err
	}
	var have int64
	err = s.gate.QueryRow(ctx, `select coalesce(max(version_id), 0) from goose_db_version where is_applied`).Scan(&have)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "42501") { // no such table, no right to it
		have, err = 0, nil
	}
	if err != nil {
		return failed("read the schema's version", err)
	}
	if have < want {
		return fmt.Errorf("the database schema has version %d and this program needs %d: run `busyd migrate`", have, want)
	}
	return nil
}

// SchemaDigest changes whenever a migration does; it names databases that tests
// share.
func SchemaDigest() (string, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return "", fmt.Errorf("read the migrations: %w", err)
	}
	sum := sha256.New()
	for _, name := range names {
		content, err := migrations.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read the migrations: %w", err)
		}
		_, _ = fmt.Fprintf(sum, "%s %d\n%s", name, len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}
