package queue

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/busyd/busyd/busy"
)

func TestOpenOneServer(t *testing.T) {
	r, err := Open(busy.Secret("rediss://u:p@h:6380/3"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	o := r.(*redis.Client).Options()
	if o.Addr != "h:6380" || o.Username != "u" || o.Password != "p" || o.DB != 3 || o.TLSConfig == nil {
		t.Errorf("read as %s db %d", o.Addr, o.DB)
	}
}

func TestOpenSocket(t *testing.T) {
	r, err := Open(busy.Secret("unix:///run/redis.sock?db=2"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if o := r.(*redis.Client).Options(); o.Network != "unix" || o.Addr != "/run/redis.sock" || o.DB != 2 {
		t.Errorf("read as %s %s db %d", o.Network, o.Addr, o.DB)
	}
}

func TestOpenCluster(t *testing.T) {
	r, err := Open(busy.Secret("redis-cluster://u:p%40ss@h1:7000,h2:7001,h3:7002?dial_timeout=3s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	o := r.(*redis.ClusterClient).Options()
	if diff := cmp.Diff([]string{"h1:7000", "h2:7001", "h3:7002"}, o.Addrs); diff != "" {
		t.Error(diff)
	}
	if o.Username != "u" || o.Password != "p@ss" || o.DialTimeout.Seconds() != 3 || o.TLSConfig != nil {
		t.Error("the credentials or parameters were read wrongly")
	}
}

func TestOpenSentinel(t *testing.T) {
	r, err := Open(busy.Secret("redis-sentinel://u:p@s1:26379,s2:26380/4?master=main&sentinel_password=sp"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	o := r.(*redis.Client).Options()
	if o.Addr != "FailoverClient" || o.Username != "u" || o.Password != "p" || o.DB != 4 {
		t.Errorf("read as %s db %d", o.Addr, o.DB)
	}
}

func TestOneHost(t *testing.T) {
	for in, want := range map[string]string{
		"h:1":             "redis://h:1",
		"u:p@h:1/2":       "redis://u:p@h:1/2",
		"h:1,i:2/0":       "redis://h:1/0?addr=i%3A2",
		"h:1,i:2?a=b":     "redis://h:1?a=b&addr=i%3A2",
		"u:a@b@h:1,i:2/0": "redis://u:a@b@h:1/0?addr=i%3A2",
	} {
		if got := oneHost("redis", in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestOpenErrorsAreSafe(t *testing.T) {
	for _, address := range []string{
		"", "hunter2", "http://hunter2", "redis://h/hunter2", "redis://:hunter2%zz@h", "redis://h?unknown=hunter2",
		"redis-sentinel://:hunter2@h:1", "redis-sentinel://:hunter2%zz@h:1?master=m", "redis-cluster://h:1?x=hunter2",
	} {
		r, err := Open(busy.Secret(address))
		if err == nil {
			_ = r.Close()
			t.Errorf("%q is accepted", address)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "redis://HOST:6379/0") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
