package graph

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/busyd/busyd/providers"
)

// fields are what is asked for of an event, and all that is.
const fields = "id,type,subject,sensitivity,start,end,isAllDay,isCancelled,showAs,responseStatus,originalStartTimeZone"

// maxViewPages bounds the pages of a window.
const maxViewPages = 200

// view is a reading of a window: single events, and the occurrences and
// exceptions of series.
type view struct {
	client *client
	home   string // zone
	next   string // the page to read; empty: none is left
	pages  int    // read

	items []item
	at    map[string]int // the index of an item, by its key
}

func (s *session) view(q providers.Query, mark cursor) *view {
	span := mark.span()
	path := fmt.Sprintf("/me/calendars/%s/calendarView?startDateTime=%s&endDateTime=%s&$top=%d&$select=%s",
		url.PathEscape(string(q.Remote)), span.Start.Format(time.RFC3339), span.End.Format(time.RFC3339),
		s.provider.ViewEvents, fields)
	return &view{client: s.client, home: q.Zone, next: s.client.to(path), at: map[string]int{}}
}

// first reads the first page, if none was read yet.
func (v *view) first(ctx context.Context) error {
	if v.pages > 0 {
		return nil
	}
	return v.page(ctx)
}

// rest reads all pages that are left.
func (v *view) rest(ctx context.Context) error {
	for !v.isWhole() {
		if v.pages == maxViewPages {
			return errEndless
		}
		if err := v.page(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) isWhole() bool { return v.next == "" }

func (v *view) page(ctx context.Context) error {
	page, err := list[event](ctx, v.client, v.next, 0)
	if err != nil {
		return err
	}
	if v.next = ""; page.Next != "" {
		if v.next, err = v.client.pinned(page.Next); err != nil {
			return err
		}
	}
	v.pages++
	for _, e := range page.Value {
		if e.ID == "" {
			return errIncomplete
		}
		if e.Type == "seriesMaster" {
			continue // its occurrences are here
		}
		v.add(e.read(v.home))
	}
	return nil
}

// add adds an item. One that comes twice moved to a later page meanwhile.
func (v *view) add(i item) {
	if at, twice := v.at[i.event.Key]; twice {
		v.items[at] = i
		return
	}
	v.at[i.event.Key] = len(v.items)
	v.items = append(v.items, i)
}

// digest changes with whatever is to be known of the window, and with nothing
// else: not with the order in which it is shown.
func (v *view) digest() string {
	sorted := slices.SortedFunc(slices.Values(v.items), func(a, b item) int { return cmp.Compare(a.event.Key, b.event.Key) })
	sum := sha256.New()
	for _, i := range sorted {
		sum.Write([]byte(i.event.Key + "\x00" + i.event.Version + "\n"))
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

// isStrangeTo reports whether a delta's first round, which names all that there
// is, named nothing of what the view shows. It is about another calendar then.
func (v *view) isStrangeTo(named map[string]struct{}) bool {
	for _, i := range v.items {
		if _, known := named[i.event.Key]; known {
			return false
		}
	}
	return true
}
