package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/store/seal"
)

// app is what the commands share.
type app struct {
	configPath string
	json       bool
	environ    []string
	now        func() time.Time
}

// config loads the configuration.
func (a *app) config() (configs.Config, error) {
	path := a.configPath
	for _, entry := range a.environ {
		if value, ok := strings.CutPrefix(entry, configs.PathVariable+"="); ok && path == "" {
			path = value
		}
	}
	c, err := configs.Load(path, a.environ)
	return c, usage(err)
}

// open loads the configuration and opens the store, which the caller closes.
func (a *app) open(ctx context.Context) (configs.Config, *store.Store, error) {
	c, err := a.config()
	if err != nil {
		return c, nil, err
	}
	st, err := openStore(ctx, c, nil)
	return c, st, err
}

// openStore opens the store; observe, if not nil, is told how connections' states
// change.
func openStore(ctx context.Context, c configs.Config, observe func(busy.Kind, busy.ConnectionState, busy.ConnectionState),
) (*store.Store, error) {
	if err := c.NeedStore(); err != nil {
		return nil, usage(err)
	}
	keys, err := keyring(c)
	if err != nil {
		return nil, usage(err)
	}
	return store.Open(ctx, store.Config{
		URL: string(c.DatabaseURL), MaxConns: int32(c.Database.MaxConns), Keys: keys, Observe: observe,
	})
}

func keyring(c configs.Config) (*seal.Keyring, error) {
	secrets, err := c.MasterKeys()
	if err != nil {
		return nil, err
	}
	keys := make([]seal.MasterKey, len(secrets))
	for i, secret := range secrets {
		keys[i] = seal.MasterKey(secret)
	}
	return seal.NewKeyring(keys[0], keys[1:]...), nil
}

// hint puts tasks into the queues. It does not matter if it cannot: the sweep
// finds what is due a moment later.
func (a *app) hint(ctx context.Context, c configs.Config, tasks []busy.Task) {
	r, err := queue.Open(c.RedisURL)
	if err != nil {
		return
	}
	defer func() { _ = r.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_ = queue.NewClient(r, a.now).Hint(ctx, tasks)
}

// inTenant runs f with the open store and the tenant that --tenant names.
func (a *app) inTenant(cmd *cobra.Command, tenant string, f func(*session) error) error {
	ctx := cmd.Context()
	c, st, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	t, err := findTenant(ctx, st, tenant)
	if err != nil {
		return err
	}
	return f(&session{Context: ctx, app: a, cmd: cmd, config: c, store: st, tenant: t})
}

// session is one command at work on a tenant.
type session struct {
	context.Context
	app    *app
	cmd    *cobra.Command
	config configs.Config
	store  *store.Store
	tenant busy.Tenant
}

func tenantFlag(c *cobra.Command, tenant *string) {
	c.Flags().StringVar(tenant, "tenant", "", "name or id of the `tenant`")
	required(c, "tenant")
}

func required(c *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := c.MarkFlagRequired(f); err != nil {
			panic(err) // there is no such flag: a mistake in this program
		}
	}
}

func newLogger(c configs.Log) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(os.Stderr, options))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, options))
}
