package ewsfake

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Transport returns a RoundTripper that is one connection to the server, without
// a network in between: what NTLM has authenticated stays so.
func (s *Server) Transport() http.RoundTripper { return &local{server: s, conn: &connection{}} }

type local struct {
	server *Server
	conn   *connection
}

// RoundTrip implements [http.RoundTripper].
func (l *local) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(orNone(r.Body))
	if err != nil {
		return nil, err
	}
	in := r.Clone(context.WithValue(r.Context(), connectionKey{}, l.conn))
	in.Host, in.Body = r.URL.Host, io.NopCloser(bytes.NewReader(body))
	if strings.Contains(string(body), "<m:GetStreamingEvents>") {
		return l.stream(r, in)
	}
	w := httptest.NewRecorder()
	l.server.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

func orNone(body io.ReadCloser) io.Reader {
	if body == nil {
		return strings.NewReader("")
	}
	return body
}

// stream hands on an answer while it is being written.
func (l *local) stream(r, in *http.Request) (*http.Response, error) {
	read, write := io.Pipe()
	w := &streamWriter{header: http.Header{}, to: write, began: make(chan int, 1)}
	go func() {
		l.server.ServeHTTP(w, in)
		w.WriteHeader(http.StatusOK)
		_ = write.Close()
	}()
	go func() {
		<-in.Context().Done()
		_ = write.CloseWithError(in.Context().Err())
	}()
	status := <-w.began
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: read, ContentLength: -1, Request: r,
	}, nil
}

type streamWriter struct {
	header http.Header
	to     io.Writer
	began  chan int
	done   bool
}

func (w *streamWriter) Header() http.Header { return w.header }
func (w *streamWriter) Flush()              {}

func (w *streamWriter) WriteHeader(status int) {
	if !w.done {
		w.done = true
		w.began <- status
	}
}

func (w *streamWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.to.Write(p)
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	seen := Request{
		Host: hostOf(r), Path: r.URL.Path, Scheme: scheme, Anchor: r.Header.Get("X-AnchorMailbox"), Body: string(body),
	}
	seen.Operation = operationOf(seen.Path, body)
	at := s.record(seen)
	if f := s.take(seen.Operation); f != nil {
		f.do(w, func(w http.ResponseWriter) { s.route(w, r, seen, body, at) })
		return
	}
	s.route(w, r, seen, body, at)
}

func hostOf(r *http.Request) string {
	host, _, _ := strings.Cut(r.Host, ":")
	return strings.ToLower(host)
}

func operationOf(path string, body []byte) string {
	switch {
	case len(body) == 0:
		return ""
	case strings.HasSuffix(path, ".svc"):
		return "SOAP"
	case strings.HasSuffix(path, ".xml"):
		return "POX"
	}
	envelope, err := parse(body)
	if err != nil {
		return ""
	}
	in := envelope.child("s:Body")
	if in == nil || len(in.children) == 0 {
		return ""
	}
	_, name, _ := strings.Cut(in.children[0].name, ":")
	return name
}

func (s *Server) record(r Request) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	return len(s.requests) - 1
}

func (s *Server) refuse(at int, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[at].Refused = why
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, seen Request, body []byte, at int) {
	path := strings.ToLower(seen.Path)
	switch {
	case strings.HasPrefix(path, "/autodiscover/"):
		s.autodiscover(w, r, seen, body)
	case path != "/ews/exchange.asmx":
		w.WriteHeader(http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case s.authenticate(w, r):
		s.ews(w, r, body, at)
	}
}

// ews answers an operation.
func (s *Server) ews(w http.ResponseWriter, r *http.Request, body []byte, at int) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/xml") {
		s.refuse(at, "the content type is not text/xml")
		w.WriteHeader(http.StatusUnsupportedMediaType)
		return
	}
	envelope, err := parse(body)
	if err == nil {
		err = check(envelope)
	}
	if err != nil {
		s.refuse(at, err.Error())
		writeFault(w, "ErrorSchemaValidation")
		return
	}
	header := envelope.child("s:Header")
	asked := header.child("t:RequestServerVersion").attribute("Version")
	if !speaks(s.Version, asked) {
		writeFault(w, "ErrorInvalidServerVersion")
		return
	}
	if header.at("t:TimeZoneContext", "t:TimeZoneDefinition").attribute("Id") != "UTC" {
		s.refuse(at, "the times are not asked for in UTC")
		writeFault(w, "ErrorTimeZone")
		return
	}
	as := ""
	if sid := header.at("t:ExchangeImpersonation", "t:ConnectingSID", "t:PrimarySmtpAddress"); sid != nil {
		as = sid.text
		if as == "" || as != s.Impersonated {
			writeFault(w, "ErrorImpersonateUserDenied")
			return
		}
		if r.Header.Get("X-AnchorMailbox") != as {
			s.refuse(at, "a request as somebody else has no X-AnchorMailbox")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
	}
	c := &call{server: s, as: as, request: envelope.child("s:Body").children[0]}
	if c.request.name == "m:GetStreamingEvents" {
		s.streamEvents(w, r, c.request)
		return
	}
	s.mu.Lock()
	answer := c.answer()
	s.mu.Unlock()
	if c.refused != "" {
		s.refuse(at, c.refused)
	}
	_, name, _ := strings.Cut(c.request.name, ":")
	writeEnvelope(w, http.StatusOK, `<m:`+name+`Response xmlns:m="`+nsMessages+`" xmlns:t="`+nsTypes+`"><m:ResponseMessages>`+
		answer+`</m:ResponseMessages></m:`+name+`Response>`)
}

// speaks reports whether a server of a version knows another.
func speaks(own, asked string) bool {
	order := "Exchange2007 Exchange2007_SP1 Exchange2010 Exchange2010_SP1 Exchange2010_SP2 Exchange2013 Exchange2013_SP1 Exchange2016 "
	at := strings.Index(order, asked+" ")
	return at >= 0 && at <= strings.Index(order, own+" ")
}

func writeEnvelope(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, envelope(body))
}

func envelope(body string) string {
	return `<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="` + nsSOAP + `"><s:Header>` +
		`<h:ServerVersionInfo MajorVersion="15" MinorVersion="2" MajorBuildNumber="1544" MinorBuildNumber="4" Version="V2017_07_11" xmlns:h="` + nsTypes + `"/>` +
		`</s:Header><s:Body>` + body + `</s:Body></s:Envelope>`
}

func writeFault(w http.ResponseWriter, code string) {
	writeEnvelope(w, http.StatusInternalServerError, fault(code, ""))
}

// fault is a SOAP fault as Exchange writes it.
func fault(code, more string) string {
	return `<s:Fault><faultcode xmlns:a="` + nsTypes + `">a:` + code + `</faultcode>` +
		`<faultstring xml:lang="en-US">CANARY something about ana@corp.test.</faultstring>` +
		`<detail><e:ResponseCode xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">` + code + `</e:ResponseCode>` +
		`<e:Message xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">CANARY something.</e:Message>` + more + `</detail></s:Fault>`
}
