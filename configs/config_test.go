package configs

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gopkg.in/yaml.v3"
)

const example = "busyd.example.yaml"

var key32 = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "busyd.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExampleIsTheDefault(t *testing.T) {
	c, err := Load(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Options{cmpopts.EquateEmpty(), cmpopts.EquateComparable()}
	got, want := c, Default()
	for i, leaf := range settings(&got) {
		a, b := reflect.ValueOf(leaf.value).Elem(), reflect.ValueOf(settings(&want)[i].value).Elem()
		if leaf.secret() {
			a, b = reflect.ValueOf(string(a.Bytes())), reflect.ValueOf(string(b.Bytes()))
		}
		if diff := cmp.Diff(b.Interface(), a.Interface(), same); diff != "" {
			t.Errorf("the example's %s is not the default:\n%s", leaf.key, diff)
		}
	}
}

// Every key is in the example: with its default, or in a comment if it has none.
func TestExampleListsEveryKey(t *testing.T) {
	content, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(content, &doc); err != nil {
		t.Fatal(err)
	}
	c := Default()
	for _, leaf := range settings(&c) {
		group, name, grouped := strings.Cut(leaf.key, ".")
		node, in := doc, leaf.key
		if grouped {
			node, _ = doc[group].(map[string]any)
			in = name
		}
		if _, written := node[in]; written {
			continue
		}
		commented := regexp.MustCompile(`(?m)^ *# ` + in + `: `).Match(content)
		if !commented || !reflect.ValueOf(leaf.value).Elem().IsZero() {
			t.Errorf("%s does not list %s with its default", example, leaf.key)
		}
	}
}

// Every setting can be given in the environment, and then wins over the file.
func TestEnvironmentWins(t *testing.T) {
	values := map[string]string{
		"database_url": "postgres://e", "migrate_url": "postgres://m", "redis_url": "redis://e", "master_key": key32,
		"listen": ":1", "roles": "api, sweep", "shutdown_timeout": "3s", "database.max_conns": "7",
		"api.cors_origins": "https://a.example,https://b.example", "api.stale_after": "2h", "worker.concurrency": "3",
		"sync.poll_min": "2m", "sync.poll_max": "20m", "sync.full_every": "2d", "sync.horizon": "90d", "sync.lease": "30s",
		"sweep.interval": "2s", "network.allow": "10.0.0.0/8,fd00::/8", "log.level": "debug", "log.format": "text",
		"public_url": "https://busyd.example", "google.client_id": "g", "google.client_secret": "gs",
		"microsoft.client_id": "m", "microsoft.client_secret": "ms", "microsoft.tenant": "organizations",
		"google.endpoint": "http://g", "microsoft.endpoint": "http://m", "network.ca_file": certificate(t),
	}
	var environ []string
	for key, value := range values {
		environ = append(environ, variable(key)+"="+value)
	}
	c, err := Load(example, environ)
	if err != nil {
		t.Fatal(err)
	}
	unchanged := Default()
	for i, leaf := range settings(&c) {
		if _, given := values[leaf.key]; !given {
			t.Errorf("this test lacks %s", leaf.key)
		}
		before := settings(&unchanged)[i].value
		if reflect.DeepEqual(leaf.value, before) {
			t.Errorf("%s did not change %s", variable(leaf.key), leaf.key)
		}
	}
	if c.Sync.Horizon != 90*24*time.Hour || !slices.Equal(c.Roles, []string{"api", "sweep"}) || len(c.Network.Allow) != 2 {
		t.Errorf("wrong values: %v %v %v", c.Sync.Horizon, c.Roles, c.Network.Allow)
	}
}

// certificate is a file with one.
func certificate(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// A file's name in the configuration file is relative to that, whoever reads it.
func TestAuthoritiesLieBesideTheFile(t *testing.T) {
	ca := certificate(t)
	path := filepath.Join(filepath.Dir(ca), "busyd.yaml")
	if err := os.WriteFile(path, []byte("network: {ca_file: ca.pem}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path, nil); err != nil || c.Network.CAFile != ca {
		t.Errorf("%q: %v", c.Network.CAFile, err)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	path := write(t, "master_key_file: key\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "key"), []byte(key32+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(db, []byte("postgres://from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, []string{"BUSYD_DATABASE_URL_FILE=" + db})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := c.MasterKeys()
	if err != nil || len(keys) != 1 || string(keys[0]) != strings.Repeat("k", 32) {
		t.Errorf("master keys: %d, %v", len(keys), err)
	}
	if string(c.DatabaseURL) != "postgres://from-file" {
		t.Error("the database's URL was not read from its file")
	}
	if err := c.NeedStore(); err != nil {
		t.Error(err)
	}
}

func TestErrorsNameKeyAndCure(t *testing.T) {
	tests := map[string]struct {
		file    string
		environ []string
		want    []string
	}{
		"unknown key":           {"log:\n  level: info\n  fromat: text\n", nil, []string{"busyd.yaml, line 3: log.fromat is no setting; did you mean log.format?"}},
		"unknown group":         {"wroker:\n  concurrency: 3\n", nil, []string{"line 1: wroker"}},
		"unknown variable":      {"", []string{"BUSYD_SYNC_PULL_MIN=1m"}, []string{"BUSYD_SYNC_PULL_MIN is no setting; did you mean BUSYD_SYNC_POLL_MIN?"}},
		"no unit":               {"sync:\n  poll_min: 60\n", nil, []string{"line 2: sync.poll_min must be a positive duration with a unit", "30s"}},
		"wrong unit":            {"", []string{"BUSYD_SYNC_HORIZON=13weeks"}, []string{"BUSYD_SYNC_HORIZON must be a positive duration", "400d"}},
		"no number":             {"worker: {concurrency: many}\n", nil, []string{"worker.concurrency must be a whole number"}},
		"no range":              {"network: {allow: [10.0.0.1]}\n", nil, []string{"network.allow must list address ranges", "10.0.0.0/8"}},
		"role":                  {"roles: [api, wroker]\n", nil, []string{"roles (BUSYD_ROLES) must be of api, worker, sweep"}},
		"level":                 {"log: {level: loud}\n", nil, []string{"log.level must be debug, info, warn or error"}},
		"format":                {"log: {format: xml}\n", nil, []string{"log.format (BUSYD_LOG_FORMAT) must be json or text"}},
		"listen":                {"listen: 8080\n", nil, []string{"listen (BUSYD_LISTEN) must be host:port"}},
		"bounds":                {"sync: {poll_min: 30m}\n", nil, []string{"sync.poll_max", "must not be less than sync.poll_min"}},
		"list for a value":      {"listen: [a, b]\n", nil, []string{"line 1: listen must be one value"}},
		"empty value":           {"listen:\n", nil, []string{"line 1: listen has no value"}},
		"short key":             {"master_key: c2hvcnQ=\n", nil, []string{"master_key (BUSYD_MASTER_KEY) must be 32 bytes", "openssl rand -base64 32"}},
		"secret twice":          {"master_key: " + key32 + "\nmaster_key_file: " + os.DevNull + "\n", nil, []string{"master_key is given twice"}},
		"secret's file missing": {"", []string{"BUSYD_MASTER_KEY_FILE=/nonexistent/key"}, []string{"BUSYD_MASTER_KEY_FILE must name a readable file"}},
		"not YAML":              {"listen: [\n", nil, []string{"is not YAML", "line"}},
		"unknown anchor":        {"database_url: *hunter2\n", nil, []string{"is not YAML"}},
		"not a mapping":         {"- listen\n", nil, []string{"line 1: must be keys with values"}},
		"all at once":           {"listne: x\nlog: {level: loud}\n", []string{"BUSYD_SWEEP_INTERVAL=x"}, []string{"listne", "log.level", "BUSYD_SWEEP_INTERVAL"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load(write(t, test.file), test.environ)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds a value: %v", err)
			}
		})
	}
}

func TestFileOfCommentsIsTheDefault(t *testing.T) {
	if _, err := Load(write(t, "# nothing\nsync:\n  # poll_min: 1m\n"), nil); err != nil {
		t.Error(err)
	}
	if _, err := Load(write(t, "# nothing\n"), nil); err != nil {
		t.Error(err)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load("/nonexistent/busyd.yaml", nil)
	if err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("the error does not tell how to name the file: %v", err)
	}
}

func TestMissingMasterKeySaysHowToMakeOne(t *testing.T) {
	c, err := Load("", []string{"BUSYD_DATABASE_URL=postgres://x"})
	if err != nil {
		t.Fatal(err)
	}
	err = c.NeedStore()
	if err == nil {
		t.Fatal("a missing master key is accepted")
	}
	for _, want := range []string{"master_key is missing", "openssl rand -base64 32", "BUSYD_MASTER_KEY_FILE"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

func TestKubernetesServiceLinksAreIgnored(t *testing.T) {
	_, err := Load("", []string{
		"BUSYD_SERVICE_HOST=10.0.0.1", "BUSYD_SERVICE_PORT=80", "BUSYD_SERVICE_PORT_HTTP=80", "BUSYD_PORT=tcp://10.0.0.1:80",
		"BUSYD_PORT_80_TCP=tcp://10.0.0.1:80", "BUSYD_PORT_80_TCP_ADDR=10.0.0.1", "BUSYD_API_SERVICE_HOST=10.0.0.1",
	})
	if err != nil {
		t.Error(err)
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	c, err := Load("", []string{"BUSYD_DATABASE_URL=postgres://u:hunter2@h/d", "BUSYD_REDIS_URL=redis://:hunter2@h", "BUSYD_MASTER_KEY=" + key32})
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v", c, c), string(asYAML)} {
		if strings.Contains(printed, "hunter2") || strings.Contains(printed, key32) {
			t.Errorf("printed a secret: %s", printed)
		}
	}
}

// A value that is wrong may be a secret that was put under the wrong key.
func TestErrorsNeverRepeatAValue(t *testing.T) {
	c := Default()
	for _, leaf := range settings(&c) {
		for _, where := range []string{"file", "environment"} {
			path, environ := "", []string{variable(leaf.key) + "=hunter2"}
			if where == "file" {
				group, name, grouped := strings.Cut(leaf.key, ".")
				content := group + ": hunter2\n"
				if grouped {
					content = group + ":\n  " + name + ": hunter2\n"
				}
				path, environ = write(t, content), nil
			}
			if _, err := Load(path, environ); err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s in the %s: %v", leaf.key, where, err)
			}
		}
	}
}

func FuzzLoadFile(f *testing.F) {
	content, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add([]byte("sync: {poll_min: [a, {b: c}]}\nroles: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		_, _ = Load(write(t, string(content)), nil)
	})
}
