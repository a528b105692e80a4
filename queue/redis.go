package queue

import (
	"errors"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/busyd/busyd/busy"
)

// Redis is a connection pool to one server, to a master that Sentinels name, or
// to a cluster. Whoever opens it closes it.
type Redis = redis.UniversalClient

// Open reads the address of Redis and returns its connection pool, without using
// the network. The forms are
//
//	redis://[USER:PASSWORD@]HOST:PORT/DB, and rediss:// with TLS
//	unix:///PATH/OF/SOCKET?db=DB
//	redis-sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]/DB?master=NAME[&sentinel_username=U&sentinel_password=P]
//	redis-cluster://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]
//
// rediss-sentinel and rediss-cluster use TLS. User and password are those of the
// Redis servers. Query parameters of go-redis, such as dial_timeout=3s, are
// understood. An error never repeats the address.
func Open(address busy.Secret) (Redis, error) {
	scheme, rest, _ := strings.Cut(string(address), "://")
	switch scheme {
	case "redis", "rediss", "unix":
		options, err := redis.ParseURL(string(address))
		if err != nil {
			return nil, errAddress
		}
		options.ContextTimeoutEnabled = true // else a Redis that hangs holds callers up for longer than they allow
		return redis.NewClient(options), nil
	case "redis-cluster", "rediss-cluster":
		options, err := redis.ParseClusterURL(oneHost(strings.TrimSuffix(scheme, "-cluster"), rest))
		if err != nil {
			return nil, errAddress
		}
		options.ContextTimeoutEnabled = true
		return redis.NewClusterClient(options), nil
	case "redis-sentinel", "rediss-sentinel":
		return openSentinel(oneHost(strings.TrimSuffix(scheme, "-sentinel"), rest))
	default:
		return nil, errAddress
	}
}

var errAddress = errors.New("the address of Redis must have a form such as redis://HOST:6379/0, rediss://USER:PASSWORD@HOST:6380/0, " +
	"unix:///run/redis.sock, redis-sentinel://HOST1:26379,HOST2:26379/0?master=NAME or redis-cluster://HOST1:7000,HOST2:7000")

func openSentinel(address string) (Redis, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errAddress
	}
	query := u.Query()
	own := map[string]string{}
	for _, name := range []string{"master", "sentinel_username", "sentinel_password"} {
		own[name] = query.Get(name)
		query.Del(name)
	}
	u.RawQuery = query.Encode()
	options, err := redis.ParseFailoverURL(u.String())
	if err != nil || own["master"] == "" {
		return nil, errAddress
	}
	options.ContextTimeoutEnabled = true
	options.MasterName = own["master"]
	options.Username = u.User.Username()
	options.Password, _ = u.User.Password()
	options.SentinelUsername, options.SentinelPassword = own["sentinel_username"], own["sentinel_password"]
	return redis.NewFailoverClient(options), nil
}

// oneHost writes a list of hosts as go-redis reads it: the others as addr
// parameters. A list is no URL.
func oneHost(scheme, rest string) string {
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	user, hosts := "", authority
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user, hosts = authority[:at+1], authority[at+1:]
	}
	first, others, several := strings.Cut(hosts, ",")
	address := scheme + "://" + user + first + tail
	if !several {
		return address
	}
	separator := "?"
	if strings.Contains(tail, "?") {
		separator = "&"
	}
	for host := range strings.SplitSeq(others, ",") {
		address += separator + "addr=" + url.QueryEscape(host)
		separator = "&"
	}
	return address
}
