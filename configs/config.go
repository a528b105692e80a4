// Package configs is busyd's typed configuration: defaults, under a YAML file,
// under BUSYD_... environment variables. Every setting has one key, such as
// sync.poll_min, and the variable is made from it: BUSYD_SYNC_POLL_MIN. A secret
// may also be kept in a file of its own, which sync.x_file or BUSYD_SYNC_X_FILE
// then names.
//
// busyd.example.yaml lists every key with its default.
package configs

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/busyd/busyd/busy"
)

// Config is the whole configuration. The yaml tags are the keys.
type Config struct {
	// DatabaseURL is the application's login; it owns nothing.
	DatabaseURL busy.Secret `yaml:"database_url"`
	// MigrateURL is the login that owns the schema; empty: DatabaseURL.
	MigrateURL busy.Secret `yaml:"migrate_url"`
	RedisURL   busy.Secret `yaml:"redis_url"`
	// MasterKey is one or more keys; see [Config.MasterKeys].
	MasterKey busy.Secret `yaml:"master_key"`

	// Listen is the address of the API, the page and the metrics.
	Listen string `yaml:"listen"`
	// PublicURL is where owners' browsers and providers reach Listen; empty: they
	// cannot, and accounts are connected with passwords only.
	PublicURL string `yaml:"public_url"`
	// Roles of this process: api, worker, sweep.
	Roles []string `yaml:"roles"`
	// ShutdownTimeout bounds the whole orderly stop.
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"`

	Database Database `yaml:"database"`
	API      API      `yaml:"api"`
	Worker   Worker   `yaml:"worker"`
	Sync     Sync     `yaml:"sync"`
	Sweep    Sweep    `yaml:"sweep"`
	Network  Network  `yaml:"network"`

	Google    Google    `yaml:"google"`
	Microsoft Microsoft `yaml:"microsoft"`

	Log Log `yaml:"log"`
}

// Database holds what the URL does not say.
type Database struct {
	MaxConns int `yaml:"max_conns"`
}

// API configures the HTTP side.
type API struct {
	// CORSOrigins may call the API from a browser; empty: none.
	CORSOrigins []string `yaml:"cors_origins"`
	// StaleAfter is the age from which a calendar's reading is called stale.
	StaleAfter time.Duration `yaml:"stale_after"`
}

// Worker configures the pool.
type Worker struct {
	// Concurrency is the number of calendars that this process reads at once.
	Concurrency int `yaml:"concurrency"`
}

// Sync configures how calendars are read.
type Sync struct {
	// PollMin and PollMax bound the adaptive interval between two readings.
	PollMin time.Duration `yaml:"poll_min"`
	PollMax time.Duration `yaml:"poll_max"`
	// FullEvery is how often a calendar is listed completely.
	FullEvery time.Duration `yaml:"full_every"`
	// Horizon is how far ahead blocks are kept.
	Horizon time.Duration `yaml:"horizon"`
	// Lease is how long a silent worker keeps a calendar.
	Lease time.Duration `yaml:"lease"`
}

// Sweep configures the search for calendars that are due.
type Sweep struct {
	Interval time.Duration `yaml:"interval"`
}

// Network configures which addresses may be reached.
type Network struct {
	// Allow lists private ranges that users' calendar addresses may point to.
	Allow []netip.Prefix `yaml:"allow"`
	// CAFile holds further certificate authorities, in PEM, such as an
	// organisation's own; empty: none.
	CAFile string `yaml:"ca_file"`
}

// Google is busyd's registration with Google.
type Google struct {
	ClientID     string      `yaml:"client_id"` // empty: Google's accounts cannot be connected
	ClientSecret busy.Secret `yaml:"client_secret"`
	// Endpoint is the address of a server that stands in for Google; empty: Google.
	Endpoint string `yaml:"endpoint"`
}

// Microsoft is busyd's registration with Microsoft.
type Microsoft struct {
	ClientID     string      `yaml:"client_id"` // empty: Microsoft's accounts cannot be connected
	ClientSecret busy.Secret `yaml:"client_secret"`
	// Tenant says whose accounts: common, organizations, consumers, or one
	// organisation's id.
	Tenant string `yaml:"tenant"`
	// Endpoint is the address of a server that stands in for Microsoft; empty:
	// Microsoft.
	Endpoint string `yaml:"endpoint"`
}

// Log configures the log, which goes to standard error.
type Log struct {
	Level slog.Level `yaml:"level"`
	// Format is json or text.
	Format string `yaml:"format"`
}

// Default is the configuration without a file and an environment.
func Default() Config {
	return Config{
		RedisURL:        busy.Secret("redis://127.0.0.1:6379/0"),
		Listen:          "127.0.0.1:8080",
		Roles:           []string{RoleAPI, RoleWorker, RoleSweep},
		ShutdownTimeout: 20 * time.Second,
		Database:        Database{MaxConns: 20},
		API:             API{StaleAfter: time.Hour},
		Worker:          Worker{Concurrency: 16},
		Sync: Sync{
			PollMin:   time.Minute,
			PollMax:   15 * time.Minute,
			FullEvery: 24 * time.Hour,
			Horizon:   400 * 24 * time.Hour,
			Lease:     25 * time.Second,
		},
		Sweep:     Sweep{Interval: time.Second},
		Microsoft: Microsoft{Tenant: "common"},
		Log:       Log{Level: slog.LevelInfo, Format: "json"},
	}
}

// The roles that a process can have.
const (
	RoleAPI    = "api"
	RoleWorker = "worker"
	RoleSweep  = "sweep"
)
