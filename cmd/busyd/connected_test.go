package main

import "strings"

// add connects the account; a login that is not good is no part of it.
func (j *journey) add(code int, address, user, password string, more ...string) {
	j.t.Helper()
	j.cli(code, password, append([]string{
		"connection", "add", "caldav", "--tenant", "acme", "--resource", "Ada",
		"--url", address, "--username", user, "--password-file", "-",
	}, more...)...)
}

func (j *journey) connectWrongly() {
	j.both(exitOK, "", "migrate")
	j.cli(exitOK, "", "tenant", "create", "acme")
	j.cli(exitOK, "", "tenant", "create", "other", "--json")
	j.cli(exitFailure, "", "tenant", "create", "acme")
	j.both(exitOK, "", "tenant", "list")
	j.cli(exitOK, "", "resource", "create", "Ada", "--tenant", "acme", "--timezone", "Europe/Berlin")
	j.cli(exitOK, "", "resource", "create", "Bo", "--tenant", "acme", "--timezone", "Europe/Berlin", "--json")
	j.both(exitOK, "", "resource", "list", "--tenant", "acme")
	for _, login := range j.wrongLogins() {
		j.add(exitUsage, login[0], login[1], login[2])
		j.add(exitUsage, login[0], login[1], login[2], "--json")
		j.tryOthers("a wrong login", login)
	}
	for name, trouble := range stuffedTroubles() {
		j.server.set(trouble)
		if code, out, errs := j.busydWith(stuffedPassword, "connection", "add", "caldav", "--tenant", "acme", "--resource", "Ada",
			"--url", j.server.url, "--username", stuffedUser, "--password-file", "-"); code == exitOK {
			j.t.Errorf("connected in spite of %s: %s%s", name, out, errs)
		} else {
			j.trail.add("a failed connection, "+name, []byte(out+errs))
		}
		j.tryOthers(name, [3]string{j.server.url + stuffedFeedPath, stuffedUser, stuffedPassword})
	}
	j.server.heal()
}

// tryOthers tries providers with whom the login, or the server, is no good.
func (j *journey) tryOthers(why string, login [3]string) {
	j.t.Helper()
	for _, provider := range []string{"exchange", "feed"} {
		for _, more := range [][]string{nil, {"--json"}} {
			args := append([]string{
				"connection", "add", provider, "--tenant", "acme", "--resource", "Ada",
				"--url", login[0], "--username", login[1], "--password-file", "-",
			}, more...)
			code, out, errs := j.busydWith(login[2], args...)
			if code == exitOK {
				j.t.Errorf("%s: connected by %s: %s%s", why, provider, out, errs)
			}
			j.trail.add("a failed connection, "+why, []byte(out+errs))
			j.ran[strings.Join(append([]string{"busyd connection add " + provider}, more...), " ")] = true
		}
	}
}

// wrongLogins are an address, a username and a password each.
func (j *journey) wrongLogins() [][3]string {
	return [][3]string{
		{j.server.url, stuffedUser, nowhere + "wrong"},
		{j.server.url, nowhere + "stranger", stuffedPassword},
		{j.server.url, nowhere + ":colon", stuffedPassword},
		{j.server.url + "/" + nowhere + "path/", stuffedUser, nowhere + "wrong"},
		{"http://" + nowhere + "%zz", stuffedUser, stuffedPassword},
		{"http://" + nowhere + "user:" + nowhere + "password@127.0.0.1/", stuffedUser, stuffedPassword},
		{nowhere + "scheme://127.0.0.1/", stuffedUser, stuffedPassword},
		{"http://" + freeAddress(j.t) + "/" + nowhere, stuffedUser, stuffedPassword},
		{"http://" + nowhere + ".invalid/", stuffedUser, stuffedPassword},
		{"", nowhere + "user@" + nowhere + ".invalid", stuffedPassword},
		{j.server.url, stuffedUser, strings.Repeat(nowhere, 1000)},
	}
}

func (j *journey) connect() {
	j.add(exitOK, j.server.url, stuffedUser, stuffedPassword)
	j.add(exitUsage, j.server.url, stuffedUser, stuffedPassword) // once more
	j.add(exitOK, j.server.url, stuffedUser, stuffedPassword, "--resource", "Bo", "--json")
	j.cli(exitOK, j.server.url+stuffedFeedPath, "connection", "add", "feed", "--tenant", "acme", "--resource", "Bo", "--url-file", "-")
	j.cli(exitOK, "", "connection", "add", "feed", "--tenant", "acme", "--resource", "Ada", "--url", j.server.url+stuffedFeedPath, "--json")
	for _, provider := range []string{"google", "outlook"} { // which nobody has set up
		j.both(exitUsage, "", "connection", "add", provider, "--tenant", "acme", "--resource", "Ada", "--wait=false")
	}
	j.both(exitUsage, nowhere+"wrong", "connection", "add", "exchange", "--tenant", "acme", "--resource", "Ada",
		"--url", j.server.url+"/"+nowhere+"path", "--username", nowhere+"user", "--mailbox", nowhere+"box@"+nowhere+".example", "--password-file", "-")
	j.both(exitUsage, j.server.url+"/"+nowhere+"path.ics", "connection", "add", "feed", "--tenant", "acme", "--resource", "Ada", "--url-file", "-")
	j.token = strings.TrimSpace(j.must("key", "create", "--tenant", "acme", "--scope", "admin"))
	parts := strings.Split(j.token, "_") // bzd, its id, the secret, a checksum
	j.secret("the key", parts[2])
	j.cli(exitOK, "", "key", "create", "--tenant", "other", "--scope", "read")
	j.cli(exitOK, "", "key", "create", "--tenant", "other", "--scope", "read", "--json")
	j.both(exitOK, "", "key", "list", "--tenant", "acme")
	for _, more := range [][]string{nil, {"--json"}} {
		spare := object[keyView](j.machine, "key", "create", "--tenant", "acme", "--scope", "sync")
		j.cli(exitOK, "", append([]string{"key", "revoke", spare.ID.String(), "--tenant", "acme"}, more...)...)
	}
}
