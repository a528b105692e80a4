package api

import (
	"fmt"
	"strings"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// picture is a week drawn on clock readings: down a day from the first hour that
// matters to the last, across from Monday to Sunday.
type picture struct {
	Height int
	Hours  []tick
	Days   []dayColumn
	AllDay bool // a day has an all-day event
}

type tick struct {
	Y     int
	Label string // 09:00
}

// dayColumn is a day of the picture.
type dayColumn struct {
	Name   string // Monday 2 March
	Short  string // Mon
	Number string // 2
	Today  bool
	Shut   bool // no working hours
	AllDay string
	Shapes []shape
	Now    int    // where the hand of the clock is; -1: elsewhere
	Note   string // that the clocks change
	Text   string // the day in words
}

// shape is a stretch of a day. Its Class says what of: open, free, unknown, gap,
// whole (an all-day event), busy, tentative, out_of_office, booked or collides.
type shape struct {
	Class     string
	Y, Height int
	Label     string // its times; empty where there is no room
	LabelY    int
}

const labelHeight = 15

// frame places clock readings on the picture, in minutes since midnight.
type frame struct {
	from, to int // the first and the last reading, whole hours
	perHour  int // pixels
}

func (f frame) y(minute int) int {
	return (min(max(minute, f.from), f.to) - f.from) * f.perHour / 60
}

func draw(a busy.Agenda, s sheet, free []busy.Span) (picture, error) {
	periods, err := booking.WorkingPeriods(a.Resource, s.span)
	if err != nil {
		return picture{}, err
	}
	f := s.frame(periods, a.Blocks)
	p := picture{Height: f.y(f.to)}
	for m := f.from; m <= f.to; m += 60 {
		p.Hours = append(p.Hours, tick{Y: f.y(m), Label: fmt.Sprintf("%02d:00", m/60)})
	}
	unknown := []busy.Span{s.span}
	if !a.Disconnected {
		unknown = busy.Subtract(unknown, busy.Merge([]busy.Span{booking.Known(a, s.span)}))
	}
	for d := range 7 {
		c := s.column(s.monday.AddDate(0, 0, d), f)
		c.add(f, "open", periods...)
		c.add(f, "free", free...)
		c.add(f, "unknown", unknown...)
		c.addBlocks(f, a.Blocks)
		c.addBookings(f, a, s.now)
		c.describe(free, unknown)
		p.AllDay = p.AllDay || c.AllDay != ""
		p.Days = append(p.Days, c.dayColumn)
	}
	return p, nil
}

// frame holds the working hours and every block with a time, and eight hours at
// least.
func (s sheet) frame(periods []busy.Span, blocks []busy.Block) frame {
	from, to := 9*60, 17*60
	for d := range 7 {
		c := s.column(s.monday.AddDate(0, 0, d), frame{})
		for _, p := range periods {
			for _, piece := range c.pieces(p) {
				from, to = min(from, piece.from), max(to, piece.to)
			}
		}
		for _, b := range blocks {
			if b.AllDay {
				continue
			}
			for _, piece := range c.pieces(busy.Span{Start: b.Start, End: b.End}) {
				from, to = min(from, piece.from), max(to, piece.to)
			}
		}
	}
	f := frame{from: from / 60 * 60, to: (to + 59) / 60 * 60, perHour: 40}
	if f.to-f.from > 14*60 {
		f.perHour = 28
	}
	return f
}

// column is a day while it is drawn.
type column struct {
	dayColumn
	date time.Time
	span busy.Span
	zone *time.Location
	busy []string // what takes time, in words
}

func (s sheet) column(date time.Time, f frame) *column {
	c := &column{date: date, span: booking.Day(date, s.zone), zone: s.zone}
	c.Name, c.Short, c.Number, c.Now = date.Format("Monday 2 January"), date.Format("Mon"), date.Format("2"), -1
	c.Shut = true
	c.Today = date.Equal(booking.Date(s.now, s.zone))
	if c.Today && f.perHour > 0 {
		now := c.minute(s.now)
		if now >= f.from && now <= f.to {
			c.Now = f.y(now)
		}
	}
	seams := c.pieces(c.span)
	for i := 1; i < len(seams); i++ {
		gap := seams[i].from - seams[i-1].to
		switch {
		case gap > 0:
			c.Note = fmt.Sprintf("Clocks go forward %s", span(time.Duration(gap)*time.Minute))
			c.shape(f, "gap", piece{seams[i-1].to, seams[i].from}, "")
		case gap < 0:
			c.Note = fmt.Sprintf("Clocks go back %s", span(time.Duration(-gap)*time.Minute))
		}
	}
	return c
}

// piece is a stretch of clock readings, in minutes since the day's midnight.
type piece struct{ from, to int }

// pieces returns what of a span lies in the day, as the clock reads: cut where
// the clocks change, so that no piece runs backwards.
func (c *column) pieces(s busy.Span) []piece {
	var pieces []piece
	s = s.Intersect(c.span)
	for at := s.Start; at.Before(s.End); {
		end := s.End
		if _, change := at.In(c.zone).ZoneBounds(); !change.IsZero() && change.Before(end) {
			end = change
		}
		from := c.minute(at)
		pieces = append(pieces, piece{from, from + int(end.Sub(at)/time.Minute)})
		at = end
	}
	return pieces
}

func (c *column) minute(t time.Time) int {
	_, offset := t.In(c.zone).Zone()
	return int(t.Add(time.Duration(offset)*time.Second).Sub(c.date) / time.Minute)
}

func (c *column) add(f frame, class string, spans ...busy.Span) {
	for _, s := range spans {
		for _, p := range c.pieces(s) {
			c.shape(f, class, p, "")
		}
	}
}

func (c *column) shape(f frame, class string, p piece, label string) {
	y, end := f.y(p.from), f.y(p.to)
	if end <= y {
		return
	}
	if class == "open" {
		c.Shut = false
	}
	if end-y < labelHeight {
		label = ""
	}
	c.Shapes = append(c.Shapes, shape{Class: class, Y: y, Height: end - y, Label: label, LabelY: y + min((end-y)/2+4, labelHeight)})
}

// addBlocks draws the blocks: all-day ones as a shade behind, of the others one
// kind after the other, so that certain time covers tentative time.
func (c *column) addBlocks(f frame, blocks []busy.Block) {
	kinds := map[string][]busy.Span{}
	for _, b := range blocks {
		s := busy.Span{Start: b.Start, End: b.End}.Intersect(c.span)
		if s.Empty() || b.State == busy.Free {
			continue
		}
		if !b.AllDay {
			kinds[b.State.String()] = append(kinds[b.State.String()], s)
			continue
		}
		kinds["whole"] = append(kinds["whole"], s)
		if s.End.Sub(s.Start) >= 12*time.Hour && c.AllDay != busy.OutOfOffice.String() {
			c.AllDay = b.State.String()
		}
	}
	if c.AllDay != "" {
		c.busy = append(c.busy, "all day")
	}
	for _, class := range []string{"whole", busy.Tentative.String(), busy.OutOfOffice.String(), busy.Busy.String()} {
		for _, s := range busy.Merge(kinds[class]) {
			label := clocks(s, c.zone)
			if class == "whole" {
				label = ""
			} else {
				c.busy = append(c.busy, strings.ReplaceAll(class, "_", " ")+" "+label)
			}
			for i, p := range c.pieces(s) {
				if i > 0 {
					label = ""
				}
				c.shape(f, class, p, label)
			}
		}
	}
}

// describe says the day in words, for who does not see it.
func (c *column) describe(free, unknown []busy.Span) {
	said := c.busy
	if len(said) == 0 {
		said = []string{"nothing busy"}
	}
	for _, s := range free {
		if part := s.Intersect(c.span); !part.Empty() {
			said = append(said, "free "+clocks(part, c.zone))
		}
	}
	for _, s := range unknown {
		if part := s.Intersect(c.span); !part.Empty() {
			said = append(said, "not read "+clocks(part, c.zone))
		}
	}
	if c.Note != "" {
		said = append(said, c.Note)
	}
	c.Text = c.Name + ": " + strings.Join(said, ", ") + "."
}
