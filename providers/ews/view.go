package ews

import (
	"context"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// item is an event as Exchange writes it. A calendar view shows each occurrence
// of a series as an item of its own, with an id of its own.
type item struct {
	Self     identifier `xml:"ItemId"`
	Subject  string     `xml:"Subject"`
	Secrecy  string     `xml:"Sensitivity"`
	Start    string     `xml:"Start"`
	End      string     `xml:"End"`
	AllDay   string     `xml:"IsAllDayEvent"`
	Status   string     `xml:"LegacyFreeBusyStatus"`
	Canceled string     `xml:"IsCancelled"`
	Response string     `xml:"MyResponseType"`
	Zone     *zone      `xml:"StartTimeZone"`
}

type viewMessage struct {
	message
	Root *struct {
		Last  string `xml:"IncludesLastItemInRange,attr"`
		Total int    `xml:"TotalItemsInView,attr"`
		Items *struct {
			List []item `xml:",any"`
		} `xml:"Items"`
	} `xml:"RootFolder"`
}

// Bounds of reading a window in slices.
const (
	month      = 31 * 24 * time.Hour
	thinnest   = time.Minute // of a slice that holds too many items
	skippable  = time.Hour   // of a slice that the server fails to compute
	maxSkipped = 8
)

var errDense = &providers.Error{Code: "too_many_events"}

// view is what a folder shows in a span.
type view struct {
	client *client
	folder string
	most   int

	items   []item
	seen    map[string]int // the index of an item, by its id
	skipped []busy.Span    // slices that the server could not compute
}

// read reads the span, a month at a time.
func (v *view) read(ctx context.Context, span busy.Span) error {
	v.seen = map[string]int{}
	for at := span.Start; at.Before(span.End); at = at.Add(month) {
		slice := busy.Span{Start: at, End: at.Add(month)}.Intersect(span)
		if err := v.slice(ctx, slice); err != nil {
			return err
		}
	}
	return nil
}

// slice reads a slice in one request or, where the server shows no more than a
// part of it, in halves.
func (v *view) slice(ctx context.Context, s busy.Span) error {
	items, whole, err := v.ask(ctx, s)
	switch code := providers.CodeOf(err); {
	case err == nil && whole:
		v.add(items)
		return nil
	case err == nil, code == codeTooBig:
		if s.End.Sub(s.Start) <= thinnest {
			return errDense
		}
	case code == codeNoOccurrence:
		if s.End.Sub(s.Start) <= skippable {
			v.skipped = append(v.skipped, s)
			if len(v.skipped) > maxSkipped {
				return err
			}
			return nil
		}
	default:
		return err
	}
	middle := s.Start.Add(s.End.Sub(s.Start) / 2).Truncate(time.Second)
	if err := v.slice(ctx, busy.Span{Start: s.Start, End: middle}); err != nil {
		return err
	}
	return v.slice(ctx, busy.Span{Start: middle, End: s.End})
}

// ask reports whether the answer is whole: it says so, and its counts agree.
func (v *view) ask(ctx context.Context, s busy.Span) (items []item, whole bool, err error) {
	var got answers[viewMessage]
	if err := v.client.call(ctx, viewItems(v.folder, s, v.most), &got); err != nil {
		return nil, false, err
	}
	m, err := got.only()
	if err != nil {
		return nil, false, err
	}
	if m.Root == nil || m.Root.Items == nil || m.Root.Last == "" {
		return nil, false, errIncomplete
	}
	items = m.Root.Items.List
	for _, i := range items {
		if i.Self.ID == "" {
			return nil, false, errIncomplete
		}
	}
	return items, isTrue(m.Root.Last) && len(items) < v.most && m.Root.Total <= len(items), nil
}

// add adds items, of which those that touch two slices come twice.
func (v *view) add(items []item) {
	for _, i := range items {
		if at, ok := v.seen[i.Self.ID]; ok {
			v.items[at] = i
			continue
		}
		v.seen[i.Self.ID] = len(v.items)
		v.items = append(v.items, i)
	}
}
