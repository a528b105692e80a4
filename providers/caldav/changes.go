package caldav

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/busyd/busyd/providers"
)

// member is an object of a collection, as a listing or a delta names it.
type member struct {
	key  string
	href string // as the server wrote it
	etag string // normalized; empty if unknown
}

// changes answers a query at the collection's address.
func (s *session) changes(ctx context.Context, at *url.URL, q providers.Query) (providers.Page, error) {
	if q.Cursor == nil {
		return s.beginListing(ctx, at, q)
	}
	since, err := readCursor(q.Cursor)
	if err != nil {
		return providers.Page{}, err
	}
	if since.Whole {
		s.whole.Store(true)
	}
	switch {
	case since.Incomplete:
		return s.beginListing(ctx, at, q)
	case s.pending.continues(q, since):
		return s.deliver(ctx, at, q)
	case since.Full:
		return providers.Page{}, &providers.Error{Fault: providers.CursorExpired, Code: "listing_lost"}
	case since.Token != "":
		return s.delta(ctx, at, q, since)
	case since.CTag != "":
		return s.checkTag(ctx, at, q, since)
	default:
		return s.listMembers(ctx, at, q, cursor{})
	}
}

// beginListing reads the collection's mark before its members, so that a change
// in between is found by the next poll. The tag is enough for that: the first
// poll asks for the token. Radicale takes longer to make its first token than to
// send all objects.
func (s *session) beginListing(ctx context.Context, at *url.URL, q providers.Query) (providers.Page, error) {
	state, err := s.state(ctx, at, askTag)
	if err == nil && state.ctag == "" {
		state, err = s.state(ctx, at, askState)
	}
	if err != nil {
		return providers.Page{}, err
	}
	return s.listMembers(ctx, at, q, markOf(state))
}

// checkTag lists the collection if its tag has changed. If not, the token that
// came with the tag marks the same state, and takes its place.
func (s *session) checkTag(ctx context.Context, at *url.URL, q providers.Query, since cursor) (providers.Page, error) {
	state, err := s.state(ctx, at, askState)
	if err != nil {
		return providers.Page{}, err
	}
	mark := markOf(state)
	if mark.NoToken = since.NoToken; mark.NoToken {
		mark.Token = ""
	}
	if state.ctag != since.CTag {
		return s.listMembers(ctx, at, q, mark)
	}
	mark.Whole = since.Whole
	return providers.Page{Cursor: mark.encode()}, nil
}

func markOf(state props) cursor {
	mark := cursor{CTag: state.ctag}
	if !state.reports || state.reportsSync {
		mark.Token = state.token
	}
	return mark
}

// state reads the collection's own marks.
func (s *session) state(ctx context.Context, at *url.URL, q query) (own props, err error) {
	err = s.askOwn(ctx, at, q, func(p props) { own = p }, func(*url.URL, *answer) {})
	return own, err
}

// askOwn sends a PROPFIND about a calendar. The calendar's own response is the
// proof that the answer is about it: without one, or if it is not that of a
// calendar, the answer is an error.
func (s *session) askOwn(ctx context.Context, at *url.URL, q query, own func(props), each func(*url.URL, *answer)) error {
	proven := false
	_, err := s.client.ask(ctx, at, q, func(base *url.URL, a *answer) error {
		switch {
		case keyOf(locate(base, a.href)) != keyOf(base):
			each(base, a)
		case a.status != 0 && a.status/100 != 2:
			return &providers.Error{Code: errNoProof.Code, Err: &httpError{status: a.status}}
		case a.types&isCalendar != 0:
			proven = true
			own(a.props)
		}
		return nil
	})
	if err == nil && !proven {
		return errNoProof
	}
	return err
}

// listMembers lists the collection and delivers the first page of it. Its mark
// was read before.
func (s *session) listMembers(ctx context.Context, at *url.URL, q providers.Query, mark cursor) (providers.Page, error) {
	next := &pending{remote: string(q.Remote), full: true, after: mark}
	err := s.askOwn(ctx, at, askMembers, func(props) {}, func(base *url.URL, a *answer) {
		m, ok := memberOf(base, a)
		if !ok || isGone(a.status) || isTask(a.contentType) {
			return
		}
		if version, held := q.Version(m.key); held && m.etag != "" && version == m.etag {
			next.same = append(next.same, m.key)
		} else {
			next.fetch = append(next.fetch, m)
		}
	})
	if err != nil {
		return providers.Page{}, err
	}
	s.pending = next
	return s.deliver(ctx, at, q)
}

// delta asks what changed since the mark's token. The one request is the check,
// too: nothing changed is an answer without members.
func (s *session) delta(ctx context.Context, at *url.URL, q providers.Query, since cursor) (providers.Page, error) {
	next := &pending{remote: string(q.Remote), before: since, after: cursor{CTag: since.CTag}}
	token, err := s.client.ask(ctx, at, askSince(since.Token), func(base *url.URL, a *answer) error {
		if keyOf(locate(base, a.href)) == keyOf(base) {
			next.more = next.more || a.status == http.StatusInsufficientStorage
			return nil
		}
		m, ok := memberOf(base, a)
		switch {
		case !ok:
		case isGone(a.status):
			next.gone = append(next.gone, m.key)
		default:
			next.fetch = append(next.fetch, m)
		}
		return nil
	})
	switch {
	case err == nil:
	case isUnsupported(err):
		return s.beginTagged(ctx, at, q)
	case refusesToken(err):
		return providers.Page{}, &providers.Error{Fault: providers.CursorExpired, Code: "sync_token_refused"}
	default:
		return providers.Page{}, err
	}
	if token == "" || next.more && token == since.Token {
		return providers.Page{}, errNoToken
	}
	next.after.Token = token
	s.pending = next
	return s.deliver(ctx, at, q)
}

var errNoToken = &providers.Error{Code: "incomplete_answer", Err: errors.New("the answer lacks a new sync-token")}

// beginTagged begins a listing whose mark is the tag alone: the server hands
// out tokens that it has no use for.
func (s *session) beginTagged(ctx context.Context, at *url.URL, q providers.Query) (providers.Page, error) {
	state, err := s.state(ctx, at, askTag)
	if err != nil {
		return providers.Page{}, err
	}
	return s.listMembers(ctx, at, q, cursor{CTag: state.ctag, NoToken: true})
}

func isUnsupported(err error) bool {
	switch statusIn(err) {
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return true
	default:
		return failsPrecondition(err, "supported-report")
	}
}

// refusesToken reads a refusal of a request with a token as one of the token.
// RFC 6578 §3.2 has a precondition for that; servers use what they like. If it
// was about something else, the listing that follows meets the same refusal.
func refusesToken(err error) bool {
	switch statusIn(err) {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusConflict,
		http.StatusGone, http.StatusPreconditionFailed:
		return true
	default:
		return failsPrecondition(err, "valid-sync-token")
	}
}

func isGone(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }

// memberOf reads a response as that of an object in the collection. Other things
// that servers put into an answer are none.
func memberOf(collection *url.URL, a *answer) (member, bool) {
	at := locate(collection, a.href)
	if a.types&isCollection != 0 || strings.HasSuffix(at.Path, "/") ||
		!strings.HasPrefix(at.Path, keyOf(collection)+"/") {
		return member{}, false
	}
	return member{key: keyOf(at), href: a.href, etag: versionOf(a.etag)}, true
}

// isTask reports whether a content type names a component other than an event.
func isTask(contentType string) bool {
	_, component, ok := strings.Cut(strings.ToLower(contentType), "component=")
	return ok && !strings.HasPrefix(strings.Trim(component, `"' `), "vevent")
}

// versionOf makes a version of an entity tag (RFC 9110 §8.8.3), without what
// servers are not consistent about: the mark of a weak tag and the quotes. The tag
// itself is not kept, for a server writes into it what it likes, such as a user's
// id. No tag is no version.
func versionOf(etag string) string {
	etag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(etag), "W/"), `"`)
	if etag == "" {
		return ""
	}
	return digest(etag)
}

func digest[T string | []byte](content T) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:12])
}
