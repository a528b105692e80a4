package configs

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// check judges values that have the right form by what they mean.
func (c Config) check() (problems []error) {
	wrong := func(is bool, key, must string) {
		if is {
			problems = append(problems, fmt.Errorf("%s (%s) %s", key, variable(key), must))
		}
	}
	_, _, err := net.SplitHostPort(c.Listen)
	wrong(err != nil, "listen", "must be host:port, such as 127.0.0.1:8080 or :8080")
	wrong(c.PublicURL != "" && !isOrigin(c.PublicURL), "public_url", "must be an address without a path, such as https://busyd.example.com")
	for _, app := range []struct {
		key, id string
		secret  busy.Secret
	}{{"google", c.Google.ClientID, c.Google.ClientSecret}, {"microsoft", c.Microsoft.ClientID, c.Microsoft.ClientSecret}} {
		wrong((app.id == "") != (len(app.secret) == 0), app.key+".client_secret", "must be given together with "+app.key+".client_id")
		wrong(app.id != "" && c.PublicURL == "", "public_url", "must be given with "+app.key+".client_id: owners come back to it")
	}
	wrong(c.Microsoft.Tenant == "", "microsoft.tenant", "must be common, organizations, consumers, or an organisation's id")
	wrong(len(c.Roles) == 0, "roles", "must hold at least one of api, worker, sweep")
	for _, r := range c.Roles {
		wrong(!slices.Contains([]string{RoleAPI, RoleWorker, RoleSweep}, r), "roles", "must be of api, worker, sweep")
	}
	wrong(c.Database.MaxConns < 4 || c.Database.MaxConns > 1000, "database.max_conns", "must lie between 4 and 1000")
	wrong(c.Worker.Concurrency < 1 || c.Worker.Concurrency > 1000, "worker.concurrency", "must lie between 1 and 1000")
	wrong(c.Sync.PollMin < time.Second, "sync.poll_min", "must be at least 1s")
	wrong(c.Sync.PollMax < c.Sync.PollMin, "sync.poll_max", "must not be less than sync.poll_min")
	wrong(c.Sync.FullEvery < c.Sync.PollMin, "sync.full_every", "must not be less than sync.poll_min")
	wrong(c.Sync.Horizon < 24*time.Hour || c.Sync.Horizon > 1830*24*time.Hour, "sync.horizon", "must lie between 1d and 1830d")
	wrong(c.Sync.Lease < 5*time.Second || c.Sync.Lease > 5*time.Minute, "sync.lease", "must lie between 5s and 5m")
	wrong(c.Sweep.Interval < 10*time.Millisecond || c.Sweep.Interval > time.Minute, "sweep.interval", "must lie between 10ms and 1m")
	wrong(c.Log.Format != "json" && c.Log.Format != "text", "log.format", "must be json or text")
	wrong(c.Network.CAFile != "" && !holdsCertificates(c.Network.CAFile), "network.ca_file", "must name a file with certificates in PEM")
	for _, origin := range c.API.CORSOrigins {
		wrong(origin != "*" && !isOrigin(origin), "api.cors_origins", "must list origins such as https://booking.example.com")
	}
	if len(c.MasterKey) > 0 {
		_, err := c.MasterKeys()
		wrong(err != nil, "master_key", masterKeyForm)
	}
	return problems
}

func holdsCertificates(file string) bool {
	content, err := os.ReadFile(file)
	return err == nil && x509.NewCertPool().AppendCertsFromPEM(content)
}

func isOrigin(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.Path == "" && u.RawQuery == "" && u.User == nil
}

const masterKeyForm = "must be 32 bytes in base64, several separated by commas, the one to seal with first; make one with: openssl rand -base64 32"

// MasterKeys are the keys that wrap the tenants' keys, each of 32 bytes. New
// ones are sealed with the first; the others still open what they sealed.
func (c Config) MasterKeys() ([]busy.Secret, error) {
	var keys []busy.Secret
	for word := range strings.SplitSeq(string(c.MasterKey), ",") {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(word))
		if err != nil || len(key) != 32 {
			return nil, errors.New("master_key " + masterKeyForm)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// HasRole reports whether this process has the role.
func (c Config) HasRole(role string) bool { return slices.Contains(c.Roles, role) }

// NeedDatabase returns an error, with the cure, unless the database can be used.
func (c Config) NeedDatabase() error {
	if len(c.DatabaseURL) == 0 {
		return missing("database_url", "give the address of a PostgreSQL database, such as postgres://busyd:PASSWORD@127.0.0.1:5432/busyd")
	}
	return nil
}

// NeedStore returns an error, with the cure, unless sealed data can be used too.
func (c Config) NeedStore() error {
	problems := []error{c.NeedDatabase()}
	if len(c.MasterKey) == 0 {
		problems = append(problems, missing("master_key", "make one with: openssl rand -base64 32, and keep a copy of it: without it nothing in the database can be read"))
	}
	return errors.Join(problems...)
}

func missing(key, cure string) error {
	file := key + fileSuffix
	return fmt.Errorf("%s is missing: %s. Set it as %s or %s, or as %s or %s in the configuration file",
		key, cure, variable(key), variable(file), key, file)
}
