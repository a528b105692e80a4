package store

import (
	"context"
	"fmt"
	"time"
)

// Finding is what a check found.
type Finding struct {
	Name   string
	OK     bool
	Detail string
	Cure   string // what to do; empty if there is nothing
}

// clockTolerance is how far the clocks of the daemon and the database may be
// apart. Nothing compares the two, but people compare what they print.
const clockTolerance = 2 * time.Second

// Check examines the database as the application sees it. A finding that is not
// OK is no error; an error means that it could not look.
func (s *Store) Check(ctx context.Context) ([]Finding, error) {
	var findings []Finding
	for _, look := range []func(context.Context) (Finding, error){
		s.findVersion, s.findLogin, s.findRoles, s.findSecurity, s.findMasterKeys, s.findClock,
	} {
		f, err := look(ctx)
		if err != nil {
			return findings, failed("check the database", err)
		}
		findings = append(findings, f)
	}
	return findings, nil
}

func (s *Store) findVersion(ctx context.Context) (Finding, error) {
	f := Finding{Name: "migrations", OK: true, Detail: "the schema is up to date"}
	if err := s.checkVersion(ctx); err != nil {
		f.OK, f.Detail, f.Cure = false, err.Error(), "run `busyd migrate`"
	}
	return f, nil
}

func (s *Store) findLogin(ctx context.Context) (Finding, error) {
	f := Finding{Name: "login", OK: true, Detail: "the database login owns nothing"}
	var super, bypass bool
	var owned int
	err := s.app.QueryRow(ctx, `
		select r.rolsuper, r.rolbypassrls,
			(select count(*) from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relowner = r.oid)
		from pg_roles r where r.rolname = session_user`).Scan(&super, &bypass, &owned)
	if err != nil {
		return f, err
	}
	if super || bypass || owned > 0 {
		f.OK = false
		f.Detail = "the database login is a superuser, bypasses row-level security or owns the tables; busyd gives these rights up " +
			"in each session, but whoever gets the password has them"
		f.Cure = "create a login that is only granted busyd_app, busyd_sweep and busyd_gate, and use it in the database URL"
	}
	return f, nil
}

func (s *Store) findRoles(ctx context.Context) (Finding, error) {
	f := Finding{Name: "roles", OK: true, Detail: "the roles have no rights beyond their grants"}
	var strong int
	err := s.app.QueryRow(ctx, `
		select count(*) from pg_roles r
		where r.rolname = any($1) and (r.rolsuper or r.rolbypassrls or r.rolcanlogin or r.rolcreaterole or r.rolcreatedb
			or exists (select from pg_class c where c.relowner = r.oid)
			or exists (select from pg_auth_members m where m.member = r.oid))`, Roles()).Scan(&strong)
	if err != nil {
		return f, err
	}
	if strong > 0 {
		f.OK, f.Detail = false, "a role of busyd is a superuser, bypasses row-level security, can log in, owns a table or is a member of another"
		f.Cure = "take these rights from busyd_app, busyd_sweep and busyd_gate (alter role ... nosuperuser nobypassrls nologin)"
	}
	return f, nil
}

func (s *Store) findSecurity(ctx context.Context) (Finding, error) {
	f := Finding{Name: "row-level security", OK: true, Detail: "it is forced on every tenant table"}
	var open int
	err := s.app.QueryRow(ctx, `
		select count(*) from pg_class c
		where c.relkind in ('r', 'p') and c.relnamespace = current_schema()::regnamespace and c.relname <> 'goose_db_version'
			and not (c.relrowsecurity and c.relforcerowsecurity)`).Scan(&open)
	if err != nil {
		return f, err
	}
	if open > 0 {
		f.OK, f.Detail = false, fmt.Sprintf("it is not forced on %d tables", open)
		f.Cure = "use a database that holds nothing but busyd, and alter table ... enable row level security, force row level security"
	}
	return f, nil
}

func (s *Store) findMasterKeys(ctx context.Context) (Finding, error) {
	f := Finding{Name: "master keys", OK: true, Detail: "every data key can be unwrapped"}
	if err := s.checkMasterKeys(ctx); err != nil {
		f.OK, f.Detail, f.Cure = false, err.Error(), "add the missing master key to the configuration"
		return f, nil //nolint:nilerr // it is what was found
	}
	current := s.keys.Current()
	var older int
	err := s.gate.QueryRow(ctx, `select count(*) from tenant_keys where kek_id <> $1`, current[:]).Scan(&older)
	if err == nil && older > 0 {
		f.Detail = fmt.Sprintf("every data key can be unwrapped; %d are wrapped under an older master key", older)
		f.Cure = "run `busyd rekey`; then the older master key is needed for backups only"
	}
	return f, err
}

func (s *Store) findClock(ctx context.Context) (Finding, error) {
	f := Finding{Name: "clock", OK: true}
	var theirs time.Time
	before := time.Now()
	if err := s.app.QueryRow(ctx, `select clock_timestamp()`).Scan(&theirs); err != nil {
		return f, err
	}
	skew := theirs.Sub(before.Add(time.Since(before) / 2)).Round(time.Millisecond)
	f.Detail = fmt.Sprintf("the database's clock is %s ahead", skew)
	if skew.Abs() > clockTolerance {
		f.OK, f.Cure = false, "let both machines keep time with NTP"
	}
	return f, nil
}
