//go:build unix

package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// The logins of an embedded PostgreSQL. Whoever can enter the directory of its
// socket, which only its user and root can, needs no password.
const (
	Owner = "busyd_owner" // superuser
	Login = "busyd"       // what the application uses: member of the roles, owner of nothing
)

// Roles are those that the store's migrations give rights to.
func Roles() []string { return []string{"busyd_app", "busyd_sweep", "busyd_gate"} }

// PostgresConfig says where the data is and how careful to be with it.
type PostgresConfig struct {
	// Dir holds the data, the socket and the server's log. It is made if it does
	// not exist, and belongs to PostgreSQL's user.
	Dir string
	// Volatile trades durability for speed: a crash of the machine may lose
	// everything. For tests.
	Volatile bool
	// Settings are further settings of the server.
	Settings map[string]string
}

// Postgres is a running private PostgreSQL.
type Postgres struct {
	dir    string
	socket string // directory
	lock   *os.File
	child  *child
}

// StartPostgres starts a server on c.Dir, after making a cluster there if there
// is none, and returns when it answers. It takes the place of a server that a
// killed process left behind.
func StartPostgres(ctx context.Context, c PostgresConfig) (*Postgres, error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	id, err := chooseIdentity()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("find the data directory: %w", err)
	}
	if err := id.canReach(dir); err != nil {
		return nil, err
	}
	if err := id.own(dir); err != nil {
		return nil, err
	}
	p := &Postgres{dir: dir}
	if p.lock, err = lockDirectory(dir); err != nil {
		return nil, err
	}
	if err := p.bringUp(ctx, bin, id, c); err != nil {
		return nil, errors.Join(err, p.release())
	}
	if err := p.createRoles(ctx); err != nil {
		return nil, errors.Join(err, p.Stop(context.WithoutCancel(ctx)))
	}
	return p, nil
}

func (p *Postgres) bringUp(ctx context.Context, bin string, id identity, c PostgresConfig) error {
	if err := initialize(ctx, bin, p.dir, id, c.Volatile); err != nil {
		return err
	}
	var err error
	if p.socket, err = socketDirectory(p.dir, id); err != nil {
		return err
	}
	return p.start(ctx, bin, id, c)
}

// release gives up what a stopped server no longer needs.
func (p *Postgres) release() error {
	if p.lock == nil { // done already
		return nil
	}
	err := p.lock.Close()
	p.lock = nil
	if p.socket != "" && p.socket != p.dir {
		err = errors.Join(err, os.RemoveAll(p.socket))
	}
	return err
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// initialize makes a cluster beside its final place, so that one that was cut
// short is never taken for a whole one.
func initialize(ctx context.Context, bin, dir string, id identity, volatile bool) error {
	data := filepath.Join(dir, "data")
	if made, err := os.ReadFile(filepath.Join(data, "PG_VERSION")); err == nil {
		return checkVersion(ctx, bin, data, strings.TrimSpace(string(made)))
	}
	fresh := data + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("clear %s: %w", fresh, err)
	}
	args := []string{"-D", fresh, "-U", Owner, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"}
	if volatile {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), args...)
	cmd.SysProcAttr, cmd.Dir, cmd.Env = id.attributes(), dir, environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLines(out))
	}
	if err := os.Rename(fresh, data); err != nil {
		return fmt.Errorf("put the new cluster in its place: %w", err)
	}
	return nil
}

func checkVersion(ctx context.Context, bin, data, made string) error {
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return fmt.Errorf("postgres --version: %w", err)
	}
	fields := strings.Fields(string(out)) // postgres (PostgreSQL) 15.4 (Debian 15.4-1)
	if len(fields) < 3 || fields[2] == made || strings.HasPrefix(fields[2], made+".") {
		return nil
	}
	return fmt.Errorf("%s was made by PostgreSQL %s and the binaries in %s are %s: set %s to those of version %s, "+
		"or remove the directory to begin anew", data, made, bin, fields[2], BinEnv, made)
}

// socketDirectory is the data's own directory, unless its path is too long for
// a socket's.
func socketDirectory(dir string, id identity) (string, error) {
	const longest = 103 - len("/.s.PGSQL.5432.lock")
	if len(dir) <= longest {
		return dir, nil
	}
	short, err := os.MkdirTemp("", "busyd-pg-")
	if err != nil {
		return "", fmt.Errorf("make a directory for the socket: %w", err)
	}
	return short, id.own(short)
}

// patience is how long a start waits for a predecessor to go.
const patience = 5 * time.Second

// start starts the server and waits until it answers. For about a second after
// a kill, what is left of the predecessor still holds the directory.
func (p *Postgres) start(ctx context.Context, bin string, id identity, c PostgresConfig) error {
	deadline := time.Now().Add(patience)
	for {
		stopLeftover(p.data())
		err := p.startOnce(ctx, bin, id, c)
		if err == nil || !errors.Is(err, errOccupied) || time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

var errOccupied = errors.New("another server holds the data directory")

func (p *Postgres) startOnce(ctx context.Context, bin string, id identity, c PostgresConfig) error {
	log, err := os.Create(filepath.Join(p.dir, "postgres.log"))
	if err != nil {
		return fmt.Errorf("make the server's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(filepath.Join(bin, "postgres"), p.arguments(c)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr, cmd.Dir, cmd.Env = id.attributes(), p.dir, environment()
	if p.child, err = startChild(cmd); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := p.awaitReady(ctx); err != nil {
		p.child.kill()
		<-p.child.done
		return err
	}
	return nil
}

func (p *Postgres) arguments(c PostgresConfig) []string {
	settings := map[string]string{
		"listen_addresses": "", "unix_socket_directories": p.socket, "port": "5432",
		"max_connections": "300", "timezone": "UTC", "log_timezone": "UTC",
	}
	if c.Volatile {
		for name, value := range map[string]string{
			"fsync": "off", "full_page_writes": "off", "autovacuum": "off",
			"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "4GB",
		} {
			settings[name] = value
		}
	}
	for name, value := range c.Settings {
		settings[name] = value
	}
	args := []string{"-D", p.data()}
	for name, value := range settings {
		args = append(args, "-c", name+"="+value)
	}
	return args
}

// awaitReady returns when the server answers and is our child: a leftover would
// answer on the same socket.
func (p *Postgres) awaitReady(ctx context.Context) error {
	for {
		select {
		case <-p.child.done:
			return p.exited()
		case <-ctx.Done():
			return fmt.Errorf("wait for PostgreSQL to start: %w", ctx.Err())
		default:
		}
		if postmasterID(p.data()) == p.child.pid() && p.ping(ctx) == nil {
			return nil
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

func (p *Postgres) exited() error {
	out, _ := os.ReadFile(filepath.Join(p.dir, "postgres.log"))
	err := fmt.Errorf("PostgreSQL did not start: %s", lastLines(out))
	if bytes.Contains(out, []byte("already exists")) || bytes.Contains(out, []byte("still in use")) {
		return fmt.Errorf("%w: %w", errOccupied, err)
	}
	return err
}

func (p *Postgres) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// createRoles makes the application's login, which needs the roles before any
// migration has made them.
func (p *Postgres) createRoles(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the embedded PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, role := range append(Roles(), Login) {
		kind := "nologin"
		if role == Login {
			kind = "login"
		}
		var exists bool
		if err := conn.QueryRow(ctx, `select exists (select from pg_roles where rolname = $1)`, role).Scan(&exists); err != nil {
			return fmt.Errorf("look for role %s: %w", role, err)
		}
		if exists {
			continue
		}
		if _, err := conn.Exec(ctx, "create role "+role+" "+kind); err != nil {
			return fmt.Errorf("create role %s: %w", role, err)
		}
	}
	if _, err := conn.Exec(ctx, "grant "+strings.Join(Roles(), ", ")+" to "+Login); err != nil {
		return fmt.Errorf("grant the roles to %s: %w", Login, err)
	}
	return nil
}

// URL connects to a database as its owner, a superuser.
func (p *Postgres) URL(database string) string { return p.url(Owner, database) }

// AppURL connects to a database as the application does.
func (p *Postgres) AppURL(database string) string { return p.url(Login, database) }

func (p *Postgres) url(user, database string) string {
	return "postgres://" + user + "@/" + url.PathEscape(database) + "?host=" + url.QueryEscape(p.socket)
}

// CreateDatabase makes a database as a copy of template; an empty template is
// an empty database.
func (p *Postgres) CreateDatabase(ctx context.Context, name, template string) error {
	return CreateDatabase(ctx, p.URL("postgres"), name, template)
}

// CreateDatabase makes a database on the server of ownerURL, as a copy of
// template; an empty template is an empty database.
func CreateDatabase(ctx context.Context, ownerURL, name, template string) error {
	if template == "" {
		template = "template0"
	}
	return execute(ctx, ownerURL, "create database "+pgx.Identifier{name}.Sanitize()+
		" template "+pgx.Identifier{template}.Sanitize())
}

// DropDatabase removes a database from the server of ownerURL and cuts its users
// off. It is no error if there is none.
func DropDatabase(ctx context.Context, ownerURL, name string) error {
	return execute(ctx, ownerURL, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)")
}

func execute(ctx context.Context, ownerURL, sql string) error {
	conn, err := pgx.Connect(ctx, ownerURL)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// PID is the server's process.
func (p *Postgres) PID() int { return p.child.pid() }

// Done is closed when the server has ended, for whatever reason.
func (p *Postgres) Done() <-chan struct{} { return p.child.done }

// Stop ends all sessions and stops the server cleanly; if ctx ends first, it
// kills the server.
func (p *Postgres) Stop(ctx context.Context) error {
	p.child.interrupt()
	select {
	case <-p.child.done:
	case <-ctx.Done():
		p.child.kill()
		<-p.child.done
	}
	return p.release()
}

// Kill ends the server as a crash would, with the processes of its sessions where
// the system tells which they are. StartPostgres on the same directory recovers it.
func (p *Postgres) Kill() {
	p.child.kill()
	<-p.child.done
	for _, pid := range serving(p.data()) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	for deadline := time.Now().Add(patience); len(serving(p.data())) > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	_ = p.release()
}

// environment is that of this process without what would steer PostgreSQL.
func environment() []string {
	var kept []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "PG") && !strings.HasPrefix(entry, "LC_") && !strings.HasPrefix(entry, "BUSYD_") {
			kept = append(kept, entry)
		}
	}
	return append(kept, "LC_ALL=C")
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func lastLines(out []byte) string {
	const most = 600
	out = bytes.TrimSpace(out)
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return string(out)
}
