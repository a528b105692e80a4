package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/store"
)

// seeded is what `busyd dev` shows.
type seeded struct {
	tenant    busy.Tenant
	token     string
	resources []busy.Resource
	calendars []busy.Calendar // selected; as they were before this start reads them
	services  []busy.Service
}

// The tenants of `busyd dev`.
const (
	demoTenant = "demo"
	ownTenant  = "mine"
)

// seed makes what is missing: the tenant with the sample people, always, and
// that of the user's own account, if there is one.
func (a *app) seed(ctx context.Context, cmd *cobra.Command, g *ground, o devOptions) (seeded, error) {
	st, err := openStore(ctx, g.config, nil)
	if err != nil {
		return seeded{}, err
	}
	defer st.Close()
	s := &session{Context: ctx, app: a, cmd: cmd, config: g.config, store: st}
	if err := s.seedTenant(demoTenant); err != nil {
		return seeded{}, err
	}
	var people []busy.Resource
	for _, p := range samplePeople() {
		login := providers.Login{URL: "http://" + g.samples + "/", Username: p.user, Password: busy.Secret(g.password)}
		r, err := s.seedResource(busy.Resource{Name: p.name, Zone: p.zone}, p.hours)
		if err != nil {
			return seeded{}, err
		}
		if err := s.seedConnection(busy.CalDAV, r.ID, login, false); err != nil {
			return seeded{}, err
		}
		people = append(people, r)
	}
	if err := s.seedServices(sampleServices(people)); err != nil {
		return seeded{}, err
	}
	if g.fakes != nil {
		if err := s.seedFakes(g.fakes); err != nil {
			return seeded{}, err
		}
	}
	if o.own != nil {
		if err := s.seedOwn(*o.own, o.zone); err != nil {
			return seeded{}, err
		}
	}
	return s.seeded(g.home)
}

func (s *session) seedTenant(name string) (err error) {
	s.tenant, err = s.store.FindTenant(s, name)
	if errors.Is(err, busy.ErrNotFound) {
		s.tenant, err = s.store.CreateTenant(s, name, s.app.now())
	}
	return err
}

func (s *session) seedResource(r busy.Resource, hours string) (busy.Resource, error) {
	found, err := s.store.FindResource(s, s.tenant.ID, r.Name)
	if !errors.Is(err, busy.ErrNotFound) {
		return found, err
	}
	if r.Hours, err = busy.ParseHours(hours); err != nil {
		return r, err
	}
	return s.store.CreateResource(s, s.tenant.ID, r)
}

// seedConnection connects the account unless the resource has a live connection;
// with anew it takes the place of that one.
func (s *session) seedConnection(kind busy.Kind, resource busy.ResourceID, login providers.Login, anew bool) error {
	all, err := s.store.Connections(s, s.tenant.ID)
	if err != nil {
		return err
	}
	var live []busy.ConnectionID
	for _, c := range all {
		if c.Resource == resource && c.State != busy.ConnectionDisconnected {
			live = append(live, c.ID)
		}
	}
	if len(live) > 0 && !anew {
		return nil
	}
	_, _, err = s.connect(kind, resource, login)
	if wrong := (*busy.Violation)(nil); errors.As(err, &wrong) && wrong.Field == "account" && len(live) == 1 {
		return s.reconnect(live[0], login) // with another password
	}
	if err != nil {
		return err
	}
	for _, id := range live {
		if err := s.store.Disconnect(s, s.tenant.ID, id, false, s.app.now()); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) seedOwn(login providers.Login, zone string) error {
	if err := s.seedTenant(ownTenant); err != nil {
		return err
	}
	if zone == "" {
		zone = localZone()
	}
	r, err := s.seedResource(busy.Resource{Name: "me", Zone: zone}, "mon-fri 09:00-17:00")
	if err != nil {
		return err
	}
	if err := s.seedServices(ownServices(r)); err != nil {
		return err
	}
	return s.seedConnection(busy.CalDAV, r.ID, login, true)
}

// localZone is the IANA name of this machine's zone, or UTC if it tells none.
func localZone() string {
	if name := os.Getenv("TZ"); name != "" {
		if _, err := time.LoadLocation(name); err == nil {
			return name
		}
	}
	if target, err := os.Readlink("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(target, "/zoneinfo/"); ok {
			return name
		}
	}
	return busy.UTC
}

// seeded makes a key for the tenant unless the kept one is good, and lists what
// there is.
func (s *session) seeded(home devHome) (seeded, error) {
	result := seeded{tenant: s.tenant}
	file := s.tenant.Name + ".token"
	var err error
	if result.token, err = home.read(file); err != nil {
		return result, err
	}
	if _, _, err := s.store.Authenticate(s, result.token, s.app.now()); errors.Is(err, busy.ErrNotFound) {
		_, result.token, err = s.store.CreateKey(s, s.tenant.ID, "dev", []busy.Scope{busy.ScopeAdmin}, time.Time{}, s.app.now())
		if err != nil {
			return result, err
		}
		if err := home.write(file, result.token+"\n"); err != nil {
			return result, err
		}
	} else if err != nil {
		return result, err
	}
	if result.resources, err = s.store.Resources(s, s.tenant.ID); err != nil {
		return result, err
	}
	if result.services, err = s.store.Services(s, s.tenant.ID); err != nil {
		return result, err
	}
	return result, s.wanted(&result)
}

// wanted has every selected calendar read now.
func (s *session) wanted(result *seeded) error {
	calendars, err := s.store.Calendars(s, s.tenant.ID)
	if err != nil {
		return err
	}
	for _, c := range calendars {
		if c.Selected && c.Connected.Polled() {
			result.calendars = append(result.calendars, c)
		}
	}
	if len(result.calendars) == 0 {
		return nil
	}
	_, err = s.store.Want(s, s.tenant.ID, store.WantScope{}, s.app.now())
	return err
}

func welcomeText(s seeded, g *ground, address, booking string, now time.Time) string {
	base := "http://" + address
	from := now.UTC().Truncate(time.Hour)
	span := url.Values{"from": {from.Format(time.RFC3339)}, "to": {from.AddDate(0, 0, 7).Format(time.RFC3339)}}
	ask := span.Encode()
	for _, r := range s.resources {
		ask += "&resource=" + r.ID.String()
	}
	curl := `curl -s -H "Authorization: Bearer ` + s.token + `" `
	busyd := os.Args[0] + " --config " + g.home.configFile()
	if booking != "" {
		booking = fmt.Sprintf("\nBook the next free time; again, and the answer is which times are left:\n\n  %s%s '%s/v1/bookings'\n", curl, booking, base)
	}
	pages := ""
	for _, service := range s.services {
		if service.Public {
			pages += "  " + base + api.BookingPath(s.tenant.ID, service.ID) + "  " + service.Name + "\n"
		}
	}
	if pages != "" {
		pages = "\nWhere customers book:\n\n" + pages
	}
	return fmt.Sprintf(`
busyd runs. The week as a page:

  %[1]s/week
%[8]s
The same over HTTP (OpenAPI: %[1]s/v1/openapi.json):

  %[2]s'%[1]s/v1/busy?%[3]s'
  %[2]s'%[1]s/v1/availability?duration=30m&%[3]s'
%[7]s%[9]s
From the command line, in another terminal:

  %[4]s status
  %[4]s resync --tenant %[5]s --wait
  %[4]s calendar list --tenant %[5]s
  %[4]s booking list --tenant %[5]s
  %[4]s doctor

Ctrl-C stops everything; the data stays in %[6]s.
`, base, curl, ask, busyd, s.tenant.Name, g.home, booking, pages, g.fakes.tried(busyd))
}
