package caldavfake

import (
	"bytes"
	"encoding/xml"
	"io"
	"mime"
	"net/http"
	"net/http/httptest"
	"strings"
)

const (
	nsDAV    = "DAV:"
	nsCalDAV = "urn:ietf:params:xml:ns:caldav"
	nsCS     = "http://calendarserver.org/ns/"
)

// body is what the fake understands of a request's body.
type body struct {
	XMLName xml.Name
	Prop    struct {
		Any []struct{ XMLName xml.Name } `xml:",any"`
	} `xml:"DAV: prop"`
	Hrefs []string  `xml:"DAV: href"`
	Token *string   `xml:"DAV: sync-token"`
	Level string    `xml:"DAV: sync-level"`
	Limit *struct{} `xml:"DAV: limit"`
}

// ServeHTTP implements [http.Handler]: a fault, if one is due, else the answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	r.Host = strings.TrimSuffix(r.Host, ":443")
	var b body
	_ = xml.Unmarshal(raw, &b) // what is missing is refused below
	seen := Request{
		Method: r.Method, Report: b.XMLName.Local, Host: r.Host, Path: r.URL.Path,
		Depth: r.Header.Get("Depth"), Body: string(raw),
	}
	answer := httptest.NewRecorder()
	fault := s.take(seen)
	if fault != nil {
		fault.do(answer, r, func(w http.ResponseWriter) { seen.Refused = s.answer(w, r, b) })
	} else {
		seen.Refused = s.answer(answer, r, b)
	}
	seen.Status = answer.Code
	s.mu.Lock()
	s.requests = append(s.requests, seen)
	s.mu.Unlock()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
	if fault != nil && fault.abort {
		panic(http.ErrAbortHandler)
	}
}

// answer is that of a server in good health. It returns what it refuses.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, b body) (refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refuse := func(status int, why string) string {
		http.Error(w, why, status)
		return why
	}
	if r.URL.Path == "/.well-known/caldav" {
		http.Redirect(w, r, principalPath, http.StatusMovedPermanently)
		return ""
	}
	if name, password, _ := r.BasicAuth(); name != s.o.Username || password != s.o.Password {
		w.Header().Set("WWW-Authenticate", `X-MobileMe-AuthToken realm="fake"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="fake"`)
		w.WriteHeader(http.StatusUnauthorized)
		return ""
	}
	atHome := strings.HasPrefix(r.URL.Path, "/1234/calendars")
	if r.Host != s.o.Host && r.Host != s.o.HomeHost && !isLoopback(r.Host) || atHome && !s.servesHome(r.Host) {
		w.WriteHeader(http.StatusMisdirectedRequest)
		return ""
	}
	if why := badForm(r, b); why != "" {
		return refuse(http.StatusBadRequest, why)
	}
	if _, _, inside := s.find(r.URL.Path + "/"); inside && !strings.HasSuffix(r.URL.Path, "/") && s.isCollection(r.URL.Path+"/") {
		if s.o.NoSlash {
			w.WriteHeader(http.StatusNotFound)
			return ""
		}
		http.Redirect(w, r, r.URL.Path+"/", http.StatusMovedPermanently)
		return ""
	}
	switch r.Method {
	case "PROPFIND":
		return s.propfind(w, r, b)
	case "REPORT":
		return s.report(w, r, b, refuse)
	case http.MethodGet:
		s.get(w, r)
		return ""
	default:
		return refuse(http.StatusMethodNotAllowed, "a client that only reads must not send "+r.Method)
	}
}

func (s *Server) servesHome(host string) bool { return host == s.o.HomeHost || isLoopback(host) }

func isLoopback(host string) bool { return strings.HasPrefix(host, "127.0.0.1:") }

func (s *Server) isCollection(path string) bool {
	_, object, ok := s.find(path)
	return ok && object == ""
}

// badForm says what a strict server dislikes in a request's form.
func badForm(r *http.Request, b body) string {
	if r.Method != "PROPFIND" && r.Method != "REPORT" {
		return ""
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	depth := r.Header.Get("Depth")
	switch {
	case media != "application/xml" && media != "text/xml":
		return "the content type is not XML"
	case b.XMLName.Local == "":
		return "the body is not XML"
	case depth != "0" && depth != "1":
		return "the depth is neither 0 nor 1"
	default:
		return ""
	}
}

func (s *Server) report(w http.ResponseWriter, r *http.Request, b body, refuse func(int, string) string) string {
	name, object, ok := s.find(r.URL.Path)
	if !ok || object != "" {
		w.WriteHeader(http.StatusNotFound)
		return ""
	}
	switch b.XMLName {
	case xml.Name{Space: nsDAV, Local: "sync-collection"}:
		return s.syncCollection(w, r, name, b, refuse)
	case xml.Name{Space: nsCalDAV, Local: "calendar-multiget"}:
		if len(b.Hrefs) == 0 {
			return refuse(http.StatusBadRequest, "a multiget without hrefs")
		}
		s.multiget(w, name, b)
		return ""
	default:
		return refuse(http.StatusForbidden, "an unsupported report")
	}
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	name, object, ok := s.find(r.URL.Path)
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	o, ok := s.calendars[name].objects[object]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
	if etag := s.etag(o); etag != "" {
		w.Header().Set("ETag", etag)
	}
	_, _ = io.WriteString(w, o.text)
}
