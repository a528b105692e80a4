// Package ical reads iCalendar text (RFC 5545) into the events that busyd knows.
//
// It is the boundary at which everything else is dropped: of what a file holds,
// only its name and, of its events, SUMMARY, the dates, times and recurrence and what
// decides whether they block time, ever leaves the reader; attendees other than
// the calendar's owner, descriptions, places and links are skipped while the
// lines are read. Addresses and links that somebody typed into a SUMMARY are
// replaced by an ellipsis.
//
// Real files break the standard in many ways. One bad line costs its property,
// one bad event costs itself, and a [Problem] says so; the rest is read. Content
// lines are read by a small reader of our own, because emersion/go-ical, like
// other parsers, fails a whole object for one line without a colon and keeps
// every property in memory.
package ical

import (
	"errors"
	"fmt"
	"io"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Bounds of what is read. An input beyond the first two is refused as a whole;
// beyond the others, the excess is dropped and its event has a problem.
const (
	// MaxFeed bounds a calendar file, in bytes; [providers.MaxObject] bounds an
	// object.
	MaxFeed = 64 << 20
	// MaxEvents bounds the events of an object or a file.
	MaxEvents = 100_000

	maxLine     = 256 << 10 // bytes of an unfolded content line
	maxListed   = 20_000    // lines of an event of the kinds that may repeat
	maxDates    = 20_000    // RDATE and EXDATE values of an event
	maxRules    = 32        // RRULE and EXRULE lines of an event
	maxProblems = 1_000     // problems that are told apart
)

// Errors of an input of which nothing can be read.
var (
	// ErrUnreadable: the input is not an iCalendar object of version 2.0.
	ErrUnreadable = errors.New("this is not an iCalendar 2.0 object")
	// ErrTooLarge: the input exceeds the bounds.
	ErrTooLarge = errors.New("the iCalendar object is too large")
)

// ProblemOf returns the stable code for an error of [Parse] or [ParseFeed];
// ProblemNone if the reader failed, which says nothing about the object.
func ProblemOf(err error) busy.Problem {
	switch {
	case errors.Is(err, ErrTooLarge):
		return busy.ProblemTooLarge
	case errors.Is(err, ErrUnreadable):
		return busy.ProblemUnreadable
	default:
		return busy.ProblemNone
	}
}

// Options say how to read.
type Options struct {
	// Key and Version go into the events of [Parse]; [ParseFeed] makes keys of
	// the file's UIDs.
	Key, Version string
	// Zone is the calendar's IANA zone. It reads times in zones that nothing
	// defines, which is a problem. Floating times stay floating.
	Zone string
	// Self are the addresses of the calendar's owner, with or without mailto:, in
	// any case. They tell whose participation status is the owner's own.
	Self []string
}

// Calendar is what was read.
type Calendar struct {
	// Name is what the file calls itself (X-WR-CALNAME, NAME of RFC 7986 §5.1), as
	// it stands there: with Google, it is often the owner's address.
	Name busy.Secret
	// Zone is the IANA zone that the file itself names (X-WR-TIMEZONE); empty if
	// it names none, or none that is known.
	Zone string
	// Truncated: the input ended before the calendar did, which is a problem, too.
	Truncated bool
	Events    []busy.Event
	Problems  []Problem
}

// Problem is something of an event that could not be understood. The event, as
// far as it is known, is in [Calendar.Events] all the same, unless its Code is
// ProblemNoStart.
type Problem struct {
	Key  string // of the event
	Line int    // of the input, from 1
	Code busy.Problem
	// Detail is for a person. It never repeats the input.
	Detail string
}

// Parse reads one calendar object of at most [providers.MaxObject] bytes, as a
// CalDAV server stores it: an event with its recurrence exceptions. All events
// have Options.Key; where the object breaks the rule of one UID an object (RFC
// 4791 §4.1), each further UID has a Series of its own.
//
// An object without events, such as a task, has none and is no error. An error
// is [ErrUnreadable], [ErrTooLarge] or the reader's, and comes with no events.
func Parse(r io.Reader, o Options) (Calendar, error) {
	return parse(r, o, providers.MaxObject, false)
}

// ParseFeed reads a calendar file of at most [MaxFeed] bytes, with any number of
// UIDs. Key and Series of an event are its UID. Of two masters with one UID,
// the higher SEQUENCE and then the later DTSTAMP is the event.
func ParseFeed(r io.Reader, o Options) (Calendar, error) {
	return parse(r, o, MaxFeed, true)
}

func parse(r io.Reader, o Options, limit int64, feed bool) (Calendar, error) {
	c := converter{
		feed:     feed,
		version:  o.Version,
		zones:    newZones(o.Zone),
		problems: problems{feed: feed, key: o.Key},
	}
	from := reader{self: newSelf(o.Self)}
	from.each = func(e *component) { c.take(e, &from.components) }
	if err := from.read(newLines(r, limit)); err != nil {
		return Calendar{}, fmt.Errorf("reading a calendar: %w", err)
	}
	c.finish(&from.components)
	events := c.events
	if feed {
		events = settle(events)
	} else {
		events = settleObject(events, o.Key)
	}
	return Calendar{
		Name: busy.Secret(from.name), Zone: c.zones.calendar, Truncated: from.truncated,
		Events: events, Problems: c.problems.all,
	}, nil
}
