package ewsfake

import (
	"io"
	"net/http"
	"slices"
)

// streamEvents holds a connection open and tells of changes.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request, request *node) {
	id := request.child("m:SubscriptionIds").children[0].text
	news := make(chan struct{}, 1)
	defer s.forget(s.wait(news))
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	write := func(body string) {
		_, _ = io.WriteString(w, envelope(`<m:GetStreamingEventsResponse xmlns:m="`+nsMessages+`" xmlns:t="`+nsTypes+`"><m:ResponseMessages>`+
			success("GetStreamingEventsResponseMessage", body)+`</m:ResponseMessages></m:GetStreamingEventsResponse>`))
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	write(`<m:ConnectionStatus>OK</m:ConnectionStatus>`)
	s.listening <- struct{}{}
	for {
		select {
		case <-r.Context().Done():
			return
		case _, open := <-news:
			if !open {
				write(`<m:ConnectionStatus>Closed</m:ConnectionStatus>`)
				return
			}
			write(`<m:Notifications><m:Notification><t:SubscriptionId>` + id + `</t:SubscriptionId>` +
				`<t:ModifiedEvent><t:TimeStamp>2026-03-01T12:00:00Z</t:TimeStamp><t:ItemId Id="x"/><t:ParentFolderId Id="y"/></t:ModifiedEvent>` +
				`</m:Notification></m:Notifications>`)
		}
	}
}

func (s *Server) wait(news chan struct{}) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, news)
	return news
}

func (s *Server) forget(news chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(w chan struct{}) bool { return w == news })
}

// AwaitListener returns once somebody listens who was not waited for before.
func (s *Server) AwaitListener() { <-s.listening }

// CloseStreams ends all streams, as happens when their time is over.
func (s *Server) CloseStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.waiting {
		close(w)
	}
	s.waiting = nil
}
