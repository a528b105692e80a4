package api

import (
	"time"

	"github.com/busyd/busyd/busy"
)

// addBookings draws what is booked or held of the resource at now over everything
// else: as "booked" or, where an event lies on it, as "collides".
func (c *column) addBookings(f frame, a busy.Agenda, now time.Time) {
	var free, hit []busy.Span
	for _, claim := range a.Claims {
		s := claim.Span.Intersect(c.span)
		if s.Empty() || !claim.Live(now) {
			continue
		}
		if collides(a.Blocks, claim.Span) {
			hit = append(hit, s)
		} else {
			free = append(free, s)
		}
	}
	c.addBooked(f, "booked", "", busy.Merge(free))
	c.addBooked(f, "collides", " though an event is then", busy.Merge(hit))
}

func (c *column) addBooked(f frame, class, after string, spans []busy.Span) {
	for _, s := range spans {
		label := clocks(s, c.zone)
		c.busy = append(c.busy, "booked "+label+after)
		if class == "collides" {
			label = "" // the event's own is there
		}
		for i, p := range c.pieces(s) {
			if i > 0 {
				label = ""
			}
			c.shape(f, class, p, label)
		}
	}
}

func collides(blocks []busy.Block, s busy.Span) bool {
	for _, b := range blocks {
		if b.State != busy.Free && s.Overlaps(busy.Span{Start: b.Start, End: b.End}) {
			return true
		}
	}
	return false
}
