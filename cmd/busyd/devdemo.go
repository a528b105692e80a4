package main

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/providertest"
	"github.com/busyd/busyd/providers/providertest/ewsfake"
	"github.com/busyd/busyd/providers/providertest/feedfake"
	"github.com/busyd/busyd/providers/providertest/googlefake"
	"github.com/busyd/busyd/providers/providertest/graphfake"
)

// stand is a stand-in with what is done at it by hand, below /demo: a meeting is
// put into the calendar, or for a time it asks whoever comes for a pause.
type stand struct {
	kind     busy.Kind
	person   string // whose calendar it has
	base     string // http://host:port
	file     string // the feed's, with its secret
	server   http.Handler
	put      func(name string, e providertest.Entry)
	throttle func(pause time.Duration) // until heal, in the provider's words
	heal     func()
	now      func() time.Time

	mu       sync.Mutex
	meetings int
	healing  *time.Timer
}

// stand returns the one of the kind, which is served at the address.
func (f *fakes) stand(kind busy.Kind, address string) *stand {
	s := &stand{kind: kind, base: "http://" + address}
	switch kind {
	case busy.Google:
		s.person, s.server, s.heal = "Gil (Google)", f.google, f.google.Heal
		s.put = func(name string, e providertest.Entry) { f.google.Put(f.google.Primary(), name, e) }
		s.throttle = func(pause time.Duration) {
			f.google.Refuse(googlefake.Refusal{
				Status: http.StatusTooManyRequests, Reason: "rateLimitExceeded", Header: http.Header{"Retry-After": {seconds(pause)}},
			})
		}
	case busy.Graph:
		s.person, s.server, s.heal = "Mia (Outlook)", f.graph, f.graph.Heal
		s.put = func(name string, e providertest.Entry) { f.graph.Put(graphfake.Primary, name, e) }
		s.throttle = func(pause time.Duration) {
			f.graph.FailNext(graphfake.Throttle(http.StatusTooManyRequests, seconds(pause)).Times(-1))
		}
	case busy.Exchange:
		s.person, s.server, s.heal = "Ana (Exchange)", f.ews, f.ews.Heal
		s.put = func(name string, e providertest.Entry) { f.ews.Put(ewsfake.Calendar, name, e) }
		s.throttle = func(pause time.Duration) {
			f.ews.FailNext(ewsfake.SOAPFault(http.StatusInternalServerError, "ErrorServerBusy", int(pause.Milliseconds())).Times(-1))
		}
	default:
		feed := feedfake.New(feedfake.Options{Host: address, Path: "/room.ics", Name: "Room 2", Zone: "Europe/Berlin"})
		s.person, s.server, s.heal = "Room 2 (feed)", feed, feed.Heal
		_, file, _ := strings.Cut(feed.URL(), address)
		s.file = file
		s.put = func(name string, e providertest.Entry) { feed.Put(name, e.ICS(name, "room@example.com")) }
		s.throttle = func(pause time.Duration) {
			feed.FailNext(feedfake.Status(http.StatusServiceUnavailable, seconds(pause)).Times(-1))
		}
	}
	return s
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }

// ServeHTTP implements [http.Handler].
func (s *stand) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case !strings.HasPrefix(r.URL.Path, "/demo/"):
		s.server.ServeHTTP(w, r)
	case r.Method != http.MethodPost:
		http.Error(w, "this is asked for with POST", http.StatusMethodNotAllowed)
	case r.URL.Path == "/demo/meeting":
		s.meeting(w, r)
	case r.URL.Path == "/demo/throttle":
		s.pause(w, r)
	default:
		http.Error(w, "there are /demo/meeting?in=2h&for=30m&subject=X and /demo/throttle?for=1m", http.StatusNotFound)
	}
}

func (s *stand) meeting(w http.ResponseWriter, r *http.Request) {
	in, errIn := durationIn(r, "in", 2*time.Hour)
	length, errFor := durationIn(r, "for", 30*time.Minute)
	if err := cmp.Or(errIn, errFor); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	start := s.now().Add(in).UTC().Truncate(time.Minute)
	end := start.Add(length)
	subject := cmp.Or(r.URL.Query().Get("subject"), "Meeting")
	s.mu.Lock()
	s.meetings++
	name := "meeting" + strconv.Itoa(s.meetings)
	s.mu.Unlock()
	s.put(name, providertest.Entry{Subject: subject, Start: busy.InstantOf(start), End: busy.InstantOf(end)})
	say(w, "%s has %q from %s to %s.", s.person, subject, start.Format(time.RFC3339), end.Format(time.RFC3339))
}

func (s *stand) pause(w http.ResponseWriter, r *http.Request) {
	pause, err := durationIn(r, "for", time.Minute)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.healing != nil {
		s.healing.Stop()
	}
	s.heal()
	s.throttle(pause)
	s.healing = time.AfterFunc(pause, s.heal)
	say(w, "Whoever asks for the calendar of %s is told to come again after %s, until %s.",
		s.person, pause, s.now().Add(pause).UTC().Format(time.RFC3339))
}

// durationIn reads a parameter.
func durationIn(r *http.Request, name string, otherwise time.Duration) (time.Duration, error) {
	value := r.URL.Query().Get(name)
	if value == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < time.Second || d > 30*24*time.Hour {
		return 0, busy.Invalid(name, "must be a time of a second to thirty days, such as 30m or 2h")
	}
	return d, nil
}

// tried is what the welcome says of the stand-ins. busyd is the command line that
// reaches what runs here.
func (f *fakes) tried(busyd string) string {
	if f == nil {
		return ""
	}
	var b strings.Builder
	say(&b, "\nA meeting comes into a calendar; with /demo/throttle?for=1m in its place, whoever asks is told to wait:\n")
	for _, s := range f.stands {
		say(&b, "  curl -X POST '%s/demo/meeting?in=2h&for=30m&subject=Review'  # %s", s.base, s.person)
	}
	say(&b, `
Exchange tells of it at once. Google and Outlook call back over https alone, which
is not here: they and the feed are polled, at least every half a minute.

Connect again what is connected, without losing what is known of it:
`)
	for _, s := range f.stands {
		say(&b, "  %s", f.again(s.kind, busyd))
	}
	return b.String()
}

// again is the command that connects a stand-in's person again.
func (f *fakes) again(kind busy.Kind, busyd string) string {
	to := " --tenant " + demoTenant
	switch id := f.connections[kind].String(); kind {
	case busy.Google:
		return busyd + " connection add google --reconnect " + id + to
	case busy.Graph:
		return busyd + " connection add outlook --reconnect " + id + to
	case busy.Exchange:
		return "echo '" + ewsfake.Password + "' | " + busyd + " connection reconnect " + id + to +
			" --url " + f.exchangeURL() + " --username '" + ewsfake.Username + "' --password-file -"
	default:
		return "echo '" + f.address[busy.Feed] + "' | " + busyd + " connection reconnect " + id + to + " --url-file -"
	}
}
