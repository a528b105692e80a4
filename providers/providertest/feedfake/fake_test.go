package feedfake

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func ask(t *testing.T, s *Server, method, url string, edit func(*http.Request)) (int, string, error) {
	t.Helper()
	r, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		edit(r)
	}
	resp, err := s.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func https(s *Server) string { return strings.Replace(s.URL(), "webcal", "https", 1) }

// TestStrict: what a request must not hold is refused, and told.
func TestStrict(t *testing.T) {
	for name, test := range map[string]struct {
		o      Options
		method string
		url    string
		edit   func(*http.Request)
	}{
		"method":     {method: http.MethodPost},
		"body":       {edit: func(r *http.Request) { r.ContentLength = 3 }},
		"host":       {url: "https://other.test/"},
		"credential": {edit: func(r *http.Request) { r.SetBasicAuth("a", "b") }},
		"elsewhere": {
			o: Options{Username: "a", Password: "b", FilesHost: "files.test"}, url: "https://files.test/",
			edit: func(r *http.Request) { r.SetBasicAuth("a", "b") },
		},
		"user":     {url: "https://a@feeds.fake.test/"},
		"fragment": {url: "https://feeds.fake.test/#a"},
		"referer":  {edit: func(r *http.Request) { r.Header.Set("Referer", "x") }},
		"date":     {edit: func(r *http.Request) { r.Header.Set("If-Modified-Since", "x") }},
		"tag":      {o: Options{Validators: Dates}, edit: func(r *http.Request) { r.Header.Set("If-None-Match", "x") }},
	} {
		s := New(test.o)
		if test.url == "" {
			test.url = https(s)
		}
		if test.method == "" {
			test.method = http.MethodGet
		}
		status, _, _ := ask(t, s, test.method, test.url, test.edit)
		if status != http.StatusBadRequest || s.Requests()[0].Refused == "" {
			t.Errorf("%s: %d, %+v", name, status, s.Requests())
		}
	}
}

func TestAnswers(t *testing.T) {
	s := New(Options{Username: "a", Password: "b", Hops: 1})
	signed := func(r *http.Request) { r.SetBasicAuth("a", "b") }
	for _, test := range []struct {
		url  string
		edit func(*http.Request)
		want int
	}{
		{https(s), nil, http.StatusUnauthorized},
		{https(s), func(r *http.Request) { r.SetBasicAuth("a", "c") }, http.StatusUnauthorized},
		{https(s), signed, http.StatusMovedPermanently},
		{https(s) + "&hop=1", signed, http.StatusOK},
		{https(s) + "x", signed, http.StatusNotFound},
		{"https://feeds.fake.test/", signed, http.StatusNotFound},
	} {
		if status, _, _ := ask(t, s, http.MethodGet, test.url, test.edit); status != test.want {
			t.Errorf("%s: %d, want %d", test.url, status, test.want)
		}
	}
}

func TestFile(t *testing.T) {
	s := New(Options{Name: "N", Zone: "Z"})
	s.Put("a", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:a\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
	s.Put("b", "BEGIN:VEVENT\r\nUID:b\r\nEND:VEVENT\r\n")
	s.Put("c", "BEGIN:VEVENT\r\nUID:c\r\nEND:VEVENT\r\n")
	s.Delete("c")
	_, body, _ := ask(t, s, http.MethodGet, https(s), nil)
	for part, want := range map[string]int{
		"BEGIN:VCALENDAR\r\n": 1, "END:VCALENDAR\r\n": 1, "PRODID": 1, "UID:a\r\n": 1, "UID:b\r\n": 1, "UID:c": 0,
		"X-WR-CALNAME:N\r\n": 1, "X-WR-TIMEZONE:Z\r\n": 1,
	} {
		if got := strings.Count(body, part); got != want {
			t.Errorf("%q is in the file %d times, want %d:\n%s", part, got, want, body)
		}
	}
	s.FailNext(Abort())
	if _, cut, err := ask(t, s, http.MethodGet, https(s), nil); !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(cut, "END:VCALENDAR") {
		t.Errorf("a broken connection: %v", err)
	}
}
