package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/store"
)

func newDoctorCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check configuration, database, Redis, clock and daemon, and say what to do",
		Long: `Check the configuration, the database with its roles and migrations, Redis with
its policy, the clock, and that the daemon answers. Exit code 3: something needs
attention.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd) },
	}
}

// finding is what doctor found about one thing.
type finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Cure   string `json:"cure,omitempty"`
}

func (a *app) doctor(cmd *cobra.Command) error {
	findings := a.findings(cmd.Context())
	sick, rows := false, [][]string{}
	for _, f := range findings {
		mark := "ok"
		if !f.OK {
			mark, sick = "WRONG", true
		}
		rows = append(rows, []string{mark, f.Name, f.Detail, f.Cure})
	}
	if err := a.show(cmd, findings, func(w io.Writer) { table(w, ",check,found,what to do", rows) }); err != nil {
		return err
	}
	if sick {
		return attention()
	}
	return nil
}

func (a *app) findings(ctx context.Context) []finding {
	c, err := a.config()
	if err == nil {
		err = c.NeedStore()
	}
	if err != nil {
		return []finding{{Name: "configuration", Detail: oneLine(err), Cure: "see configs/busyd.example.yaml"}}
	}
	found := []finding{{Name: "configuration", OK: true, Detail: "roles " + strings.Join(c.Roles, ", ")}}
	found = append(found, a.examineDatabase(ctx, c)...)
	found = append(found, a.examineRedis(ctx, c)...)
	return append(found, examineDaemon(ctx, c))
}

// oneLine keeps an error of several lines in its cell of a table.
// oneLine words an error of several lines in one, each line once.
func oneLine(err error) string {
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}

// examining bounds each examination.
const examining = 10 * time.Second

func (a *app) examineDatabase(ctx context.Context, c configs.Config) []finding {
	ctx, cancel := context.WithTimeout(ctx, examining)
	defer cancel()
	st, err := openStore(ctx, c, nil)
	if err != nil {
		return []finding{{Name: "database", Detail: oneLine(err), Cure: "check database_url; run `busyd migrate`, and `GRANT busyd_app, busyd_sweep, busyd_gate TO` its login"}}
	}
	defer st.Close()
	found := []finding{{Name: "database", OK: true, Detail: "answers"}}
	checks, err := st.Check(ctx)
	if err != nil {
		return append(found, finding{Name: "database", Detail: oneLine(err)})
	}
	for _, f := range checks {
		found = append(found, finding(f))
	}
	return append(found, a.examineLag(ctx, st))
}

// examineLag tells whether somebody reads the calendars that are due.
func (a *app) examineLag(ctx context.Context, st *store.Store) finding {
	lag, err := st.Lag(ctx, a.now())
	if err != nil {
		return finding{Name: "sync lag", Detail: oneLine(err)}
	}
	f := finding{Name: "sync lag", OK: lag.Greatest <= tolerable, Detail: fmt.Sprintf(
		"%s due, the longest for %s", plural(lag.Due, "calendar"), short(lag.Greatest))}
	if !f.OK {
		f.Cure = "run a daemon with the roles worker and sweep, or more of them"
	}
	return f
}

func (a *app) examineRedis(ctx context.Context, c configs.Config) []finding {
	ctx, cancel := context.WithTimeout(ctx, examining)
	defer cancel()
	r, err := queue.Open(c.RedisURL)
	if err != nil {
		return []finding{{Name: "redis", Detail: err.Error(), Cure: "correct redis_url"}}
	}
	defer func() { _ = r.Close() }()
	if err := r.Ping(ctx).Err(); err != nil {
		return []finding{{Name: "redis", Detail: "does not answer: " + oneLine(err), Cure: "start it, or correct redis_url"}}
	}
	found := []finding{{Name: "redis", OK: true, Detail: "answers"}, examinePolicy(ctx, r)}
	if t, err := r.Time(ctx).Result(); err == nil {
		found = append(found, examineClock("clock against Redis", a.now().Sub(t)))
	}
	return found
}

// examinePolicy checks that Redis does not drop tasks when it is full. Hosted
// ones do not tell.
func examinePolicy(ctx context.Context, r queue.Redis) finding {
	f := finding{Name: "redis maxmemory-policy", OK: true}
	got, err := r.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil || got["maxmemory-policy"] == "" {
		f.Detail = "not told by this server; it must be noeviction"
		return f
	}
	f.Detail = got["maxmemory-policy"]
	if f.Detail != "noeviction" {
		f.OK, f.Cure = false, "set maxmemory-policy noeviction: tasks must not be dropped"
	}
	return f
}

// tolerableSkew is how far two clocks may differ: leases last tens of seconds.
const tolerableSkew = 2 * time.Second

func examineClock(name string, skew time.Duration) finding {
	f := finding{Name: name, OK: skew.Abs() <= tolerableSkew, Detail: "differs by " + skew.Abs().Round(time.Millisecond).String()}
	if !f.OK {
		f.Cure = "synchronize the clocks (NTP)"
	}
	return f
}

// examineDaemon asks the daemon of this configuration whether it is ready.
func examineDaemon(ctx context.Context, c configs.Config) finding {
	f := finding{Name: "daemon", Cure: "start `busyd serve`, or correct listen"}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(c.Listen)+"/readyz", nil)
	if err != nil {
		f.Detail = "listen is no address"
		return f
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		f.Detail = "nothing answers at " + reachable(c.Listen)
		return f
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		f.Detail, f.Cure = fmt.Sprintf("answers %d at %s", answer.StatusCode, reachable(c.Listen)), "see its /readyz and its log"
		return f
	}
	return finding{Name: "daemon", OK: true, Detail: "ready at " + reachable(c.Listen)}
}

// reachable is the address at which this machine reaches what listens on listen.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	if n, err := strconv.Atoi(port); err != nil || n == 0 {
		return listen
	}
	return net.JoinHostPort(host, port)
}
