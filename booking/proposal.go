package booking

import (
	"time"

	"github.com/busyd/busyd/busy"
)

// Once is a request with an idempotency key.
type Once struct {
	busy.Once
	// Render makes the answer that is stored with the booking. The token is that of
	// a new hold, and else empty.
	Render func(b busy.Booking, token string) busy.Answer
}

// proposal makes the booking its own next version.
func proposal(b *busy.Booking, now time.Time, seen []busy.AgendaVersion, once *Once, token string, messages ...busy.Message) busy.Proposal {
	p := busy.Proposal{Was: b.Version, Seen: seen, Messages: messages}
	b.Version++
	b.ChangedAt = now
	if b.Version == 1 {
		b.CreatedAt = now
	}
	p.Booking = *b
	if once != nil {
		answer := once.Render(*b, token)
		p.Once = &busy.Once{Key: once.Key, Request: once.Request, Taken: once.Taken, Answer: &answer}
	}
	return p
}

// tell makes the messages of a change. A hold is nobody's business but that of
// those who show free time: they are told which resources have another.
func (d *Desk) tell(b busy.Booking, now time.Time, kind busy.MessageType) ([]busy.Message, error) {
	switch {
	case kind == "":
		return nil, nil
	case kind != busy.AvailabilityChanged && b.State != busy.BookingHeld:
		m, err := d.message(busy.Message{Type: kind, At: now, Booking: b.ID, Span: b.Span})
		return []busy.Message{m}, err
	}
	messages := make([]busy.Message, len(b.Resources))
	for i, r := range b.Resources {
		var err error
		if messages[i], err = d.message(busy.Message{Type: busy.AvailabilityChanged, At: now, Resource: r, Span: b.Blocked}); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

func (d *Desk) message(m busy.Message) (busy.Message, error) {
	var err error
	m.ID, err = busy.NewID[busy.Message](d.Random)
	return m, err
}
