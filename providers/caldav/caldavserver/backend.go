package caldavserver

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/emersion/go-ical"
	"github.com/emersion/go-webdav"
	"github.com/emersion/go-webdav/caldav"
)

type object struct {
	data *ical.Calendar
	etag string
	size int64
}

// readObject refuses what go-ical cannot write again: one such object would
// fail every answer that it is part of.
func readObject(text string) (*object, error) {
	data, err := ical.NewDecoder(strings.NewReader(text)).Decode()
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}
	return newObject(data)
}

func newObject(data *ical.Calendar) (*object, error) {
	var b bytes.Buffer
	if err := ical.NewEncoder(&b).Encode(data); err != nil {
		return nil, fmt.Errorf("write it: %w", err)
	}
	sum := sha256.Sum256(b.Bytes())
	return &object{data: data, etag: hex.EncodeToString(sum[:12]), size: int64(b.Len())}, nil
}

// tag changes with the collection's content and with nothing else, so that it
// survives a restart.
func (c *collection) tag() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		h.Write([]byte(name + "\x00" + c.objects[name].etag + "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// backend serves the user that the context names to go-webdav's handler. Paths
// are /user/calendars/calendar/object.
type backend struct {
	server *Server
}

func (b *backend) user(ctx context.Context) string {
	name, _ := ctx.Value(userKey{}).(string)
	return name
}

func principalPath(user string) string          { return "/" + user + "/" }
func homePath(user string) string               { return principalPath(user) + "calendars/" }
func calendarPath(user, calendar string) string { return homePath(user) + calendar + "/" }

// split returns the calendar and the object that a path names.
func split(path string) (calendar, object string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) > 2 {
		calendar = parts[2]
	}
	if len(parts) > 3 {
		object = parts[3]
	}
	return calendar, object
}

var (
	errNoSuch = webdav.NewHTTPError(http.StatusNotFound, fmt.Errorf("there is no such resource"))
	errExists = webdav.NewHTTPError(http.StatusMethodNotAllowed, fmt.Errorf("the calendar exists already"))
	errStale  = webdav.NewHTTPError(http.StatusPreconditionFailed, fmt.Errorf("the object has changed"))
)

func (b *backend) CurrentUserPrincipal(ctx context.Context) (string, error) {
	return principalPath(b.user(ctx)), nil
}

func (b *backend) CalendarHomeSetPath(ctx context.Context) (string, error) {
	return homePath(b.user(ctx)), nil
}

func (b *backend) ListCalendars(ctx context.Context) ([]caldav.Calendar, error) {
	b.server.mu.RLock()
	defer b.server.mu.RUnlock()
	name := b.user(ctx)
	calendars := b.server.users[name].calendars
	var list []caldav.Calendar
	for _, c := range slices.Sorted(maps.Keys(calendars)) {
		list = append(list, describe(name, calendars[c]))
	}
	return list, nil
}

func describe(user string, c *collection) caldav.Calendar {
	return caldav.Calendar{
		Path: calendarPath(user, c.Name), Name: c.Title,
		SupportedComponentSet: []string{ical.CompEvent},
	}
}

func (b *backend) GetCalendar(ctx context.Context, path string) (*caldav.Calendar, error) {
	b.server.mu.RLock()
	defer b.server.mu.RUnlock()
	name, _ := split(path)
	c := b.server.collection(b.user(ctx), name)
	if c == nil {
		return nil, errNoSuch
	}
	described := describe(b.user(ctx), c)
	return &described, nil
}

func (b *backend) CreateCalendar(ctx context.Context, calendar *caldav.Calendar) error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	name, _ := split(calendar.Path)
	if b.server.collection(b.user(ctx), name) != nil {
		return errExists
	}
	b.server.users[b.user(ctx)].calendars[name] = &collection{
		Calendar: Calendar{Name: name, Title: calendar.Name},
		objects:  make(map[string]*object),
	}
	return nil
}

func (b *backend) GetCalendarObject(ctx context.Context, path string, _ *caldav.CalendarCompRequest) (*caldav.CalendarObject, error) {
	b.server.mu.RLock()
	defer b.server.mu.RUnlock()
	calendar, name := split(path)
	c := b.server.collection(b.user(ctx), calendar)
	if c == nil || c.objects[name] == nil {
		return nil, errNoSuch
	}
	found := present(path, c.objects[name])
	return &found, nil
}

func present(path string, o *object) caldav.CalendarObject {
	return caldav.CalendarObject{Path: path, ETag: o.etag, ContentLength: o.size, Data: o.data}
}

func (b *backend) ListCalendarObjects(ctx context.Context, path string, _ *caldav.CalendarCompRequest) ([]caldav.CalendarObject, error) {
	b.server.mu.RLock()
	defer b.server.mu.RUnlock()
	calendar, _ := split(path)
	c := b.server.collection(b.user(ctx), calendar)
	if c == nil {
		return nil, errNoSuch
	}
	var list []caldav.CalendarObject
	for _, name := range slices.Sorted(maps.Keys(c.objects)) {
		list = append(list, present(calendarPath(b.user(ctx), calendar)+name, c.objects[name]))
	}
	return list, nil
}

func (b *backend) QueryCalendarObjects(ctx context.Context, path string, query *caldav.CalendarQuery) ([]caldav.CalendarObject, error) {
	all, err := b.ListCalendarObjects(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	return caldav.Filter(query, all)
}

func (b *backend) PutCalendarObject(ctx context.Context, path string, data *ical.Calendar, opts *caldav.PutCalendarObjectOptions) (*caldav.CalendarObject, error) {
	o, err := newObject(data)
	if err != nil {
		return nil, webdav.NewHTTPError(http.StatusBadRequest, err)
	}
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	calendar, name := split(path)
	c := b.server.collection(b.user(ctx), calendar)
	if c == nil {
		return nil, errNoSuch
	}
	if !permits(opts, c.objects[name]) {
		return nil, errStale
	}
	c.objects[name] = o
	stored := present(path, o)
	return &stored, nil
}

// permits checks the conditions of RFC 9110 §13.1 on the object there is.
func permits(opts *caldav.PutCalendarObjectOptions, is *object) bool {
	if opts == nil {
		return true
	}
	matches := func(c webdav.ConditionalMatch) bool {
		if is == nil {
			return false
		}
		ok, err := c.MatchETag(is.etag)
		return ok && err == nil
	}
	if opts.IfNoneMatch.IsSet() && matches(opts.IfNoneMatch) {
		return false
	}
	return !opts.IfMatch.IsSet() || matches(opts.IfMatch)
}

func (b *backend) DeleteCalendarObject(ctx context.Context, path string) error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	calendar, name := split(path)
	c := b.server.collection(b.user(ctx), calendar)
	switch {
	case c == nil:
		return errNoSuch
	case name == "":
		delete(b.server.users[b.user(ctx)].calendars, calendar)
	case c.objects[name] == nil:
		return errNoSuch
	default:
		delete(c.objects, name)
	}
	return nil
}
