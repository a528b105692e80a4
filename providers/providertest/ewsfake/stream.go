package ewsfake

import (
	"io"
	"net/http"
)

// streamEvents holds a connection open and tells of changes.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request, request *node) {
	id := request.child("m:SubscriptionIds").children[0].text
	news := make(chan struct{}, 1)
	s.mu.Lock()
	s.waiting = append(s.waiting, news)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	write := func(body string) {
		_, _ = io.WriteString(w, envelope(`<m:GetStreamingEventsResponse xmlns:m="`+nsMessages+`" xmlns:t="`+nsTypes+`"><m:ResponseMessages>`+
			success("GetStreamingEventsResponseMessage", body)+`</m:ResponseMessages></m:GetStreamingEventsResponse>`))
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
	}
	write(`<m:ConnectionStatus>OK</m:ConnectionStatus>`)
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
