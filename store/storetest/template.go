package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/embedded"
)

// The application's login on a server that somebody else started.
const loginPassword = "busyd"

// prepare makes the migrated database that each test's is copied from. Tests of
// several packages may do it at once on one server: the first one makes it.
func prepare(ctx context.Context, owner string) (string, error) {
	template, err := templateName()
	if err != nil {
		return "", err
	}
	conn, err := pgx.Connect(ctx, owner)
	if err != nil {
		return "", fmt.Errorf("connect to the test server: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	const lock = 0x62757379 // any number, the same in all test processes
	if _, err := conn.Exec(ctx, `select pg_advisory_lock($1)`, lock); err != nil {
		return "", fmt.Errorf("lock the template: %w", err)
	}
	var exists bool
	if err := conn.QueryRow(ctx, `select exists (select from pg_database where datname = $1)`, template).Scan(&exists); err != nil {
		return "", fmt.Errorf("look for the template: %w", err)
	}
	if exists {
		return template, nil
	}
	return template, makeTemplate(ctx, conn, owner, template)
}

func makeTemplate(ctx context.Context, conn *pgx.Conn, owner, template string) error {
	raw := template + "_raw"
	if err := embedded.DropDatabase(ctx, owner, raw); err != nil {
		return err
	}
	if err := embedded.CreateDatabase(ctx, owner, raw, ""); err != nil {
		return err
	}
	database, err := onDatabase(owner, raw)
	if err != nil {
		return err
	}
	if _, err := store.Migrate(ctx, database); err != nil {
		return err
	}
	if err := makeLogin(ctx, conn); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "alter database "+raw+" rename to "+template)
	if err != nil {
		return fmt.Errorf("name the template: %w", err)
	}
	return nil
}

func makeLogin(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "create role "+embedded.Login+" login password '"+loginPassword+"'")
	var pg *pgconn.PgError
	if err != nil && !(errors.As(err, &pg) && pg.Code == "42710") { // it exists
		return fmt.Errorf("make the login: %w", err)
	}
	for _, role := range store.Roles() {
		if _, err := conn.Exec(ctx, "grant "+role+" to "+embedded.Login); err != nil {
			return fmt.Errorf("grant %s: %w", role, err)
		}
	}
	return nil
}

// templateName changes with the migrations.
func templateName() (string, error) {
	digest, err := store.SchemaDigest()
	return "busyd_template_" + digest, err
}

// asLogin is the URL with the application's login in it.
func asLogin(owner string) (string, error) {
	u, err := url.Parse(owner)
	if err != nil {
		return "", fmt.Errorf("%s: %w", URLEnv, err)
	}
	u.User = url.UserPassword(embedded.Login, loginPassword)
	return u.String(), nil
}
