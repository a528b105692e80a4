package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/mail"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
)

// The fields of the details that the page writes.
const (
	nameField  = "name"
	emailField = "email"
)

// pagePrefix begins the tokens of the page: what is held by others has no link.
const pagePrefix = "page_"

// hold keeps a time while the visitor types.
func (v *visit) hold() (busy.Answer, error) {
	start, err := readStart(v.values.Get("start"))
	if err != nil {
		return busy.Answer{}, err
	}
	zone, err := loadZone(v.values.Get("zone"))
	if err != nil {
		return busy.Answer{}, err
	}
	if _, err := v.offered(); err != nil {
		return busy.Answer{}, err
	}
	return v.once(start.Format(time.RFC3339), func(once busy.Once) (busy.Answer, error) {
		switch held, err := v.Store.OpenHolds(v.ctx, v.tenant, v.service, v.now); {
		case err != nil:
			return busy.Answer{}, err
		case held >= mostHolds: // some more at the same moment do no harm
			return v.keep(once, v.back("many", start, zone))
		case start.After(v.now.AddDate(0, monthsAhead, 0)):
			return v.keep(once, v.back("closed", start, zone))
		}
		var answer busy.Answer
		_, _, err := v.Desk.Hold(v.ctx, v.tenant, booking.HoldRequest{
			Service: v.service, Start: start, TTL: bookHold, Prefix: pagePrefix,
			Once: &booking.Once{Once: once, Render: func(b busy.Booking, token string) busy.Answer {
				answer = redirect(v.own(b.ID, token, "zone", zone.String()))
				return answer
			}},
		})
		if gone, is := v.gone(err, start, zone); is {
			return v.keep(once, gone)
		}
		return answer, err
	})
}

// offered is the service of the page. One that has no page is not there.
func (v *visit) offered() (busy.Service, error) {
	service, err := v.Store.Service(v.ctx, v.tenant, v.service)
	if err == nil && !service.Public {
		err = busy.ErrNotFound
	}
	return service, err
}

// gone is where a visitor is sent whose time cannot be had.
func (v *visit) gone(err error, start time.Time, zone *time.Location) (busy.Answer, bool) {
	var refused *booking.Refusal
	if unknown := (*booking.NotFresh)(nil); errors.As(err, &unknown) {
		return v.back("unknown", start, zone), true
	}
	if !errors.As(err, &refused) {
		return busy.Answer{}, false
	}
	notice := "closed"
	switch refused.Cause {
	case booking.CauseBegun, booking.CauseNotice:
		notice = "soon"
	case booking.CauseDay, booking.CauseWeek, booking.CauseBlock, booking.CauseBooking, booking.CauseNeeds:
		notice = "taken"
	}
	return v.back(notice, start, zone), true
}

// back leads to the times again, with a notice about one of them.
func (v *visit) back(notice string, start time.Time, zone *time.Location) busy.Answer {
	return redirect(v.address("notice", notice, "start", start.UTC().Format(time.RFC3339), "zone", zone.String()))
}

// mine is the booking that the link opens, and the zone that its times are told in.
// One of another service, or with another token, is not there.
func (v *visit) mine() (busy.Booking, *time.Location, error) {
	b, err := v.Store.Booking(v.ctx, v.tenant, v.id)
	if err != nil {
		return b, nil, err
	}
	if b.Service != v.service || !opens(b, v.token) {
		return b, nil, busy.ErrNotFound
	}
	zone, err := v.zoneOf(b)
	return b, zone, err
}

func opens(b busy.Booking, token string) bool {
	digest := sha256.Sum256([]byte(token))
	return strings.HasPrefix(token, pagePrefix) && subtle.ConstantTimeCompare(digest[:], b.Owner) == 1
}

// bookingView is the page of one booking: a form while it is a hold.
type bookingView struct {
	Service, When, Zone string
	Until               string // when the hold ends
	State               busy.BookingState
	Action, Again       string // addresses
	Key                 string
	Name, Email         string // as they were typed
	Wrong               violations
	CanCancel, CanKeep  bool
}

func (v *visit) show() (busy.Answer, error) {
	b, zone, err := v.mine()
	if err != nil {
		return busy.Answer{}, err
	}
	return v.showAs(b, zone, http.StatusOK, nil)
}

// showAs shows a booking. What is wrong with its form is told in it.
func (v *visit) showAs(b busy.Booking, zone *time.Location, status int, wrong violations) (busy.Answer, error) {
	service, err := v.Store.BookedService(v.ctx, v.tenant, v.service)
	if err != nil {
		return busy.Answer{}, err
	}
	if b.State == busy.BookingExpired || b.State == busy.BookingHeld && !b.Live(v.now) {
		return v.back("expired", b.Span.Start, zone), nil
	}
	if b.State == busy.BookingCancelled && b.Details == nil { // it was a hold
		return v.back("given", b.Span.Start, zone), nil
	}
	out := bookingView{
		Service: service.Name, When: when(b.Span, zone), Zone: zone.String(), State: b.State,
		Action: v.own(b.ID, v.token), Again: v.address("zone", zone.String()),
		Wrong: wrong, CanCancel: v.now.Before(b.Span.Start), CanKeep: v.mayKeep(b),
	}
	if v.form {
		out.Name, out.Email = v.values.Get(nameField), v.values.Get(emailField)
	}
	title := "Your booking"
	switch b.State {
	case busy.BookingHeld:
		out.Until, title = clock(b.ExpiresAt, zone), "Your details"
	case busy.BookingCancelled:
		title = "Booking cancelled"
	case busy.BookingConfirmed, busy.BookingPending:
		title = "Booked"
	}
	if len(wrong) > 0 {
		title = "Error: " + title
	}
	if !service.Public {
		out.Again = ""
	}
	if out.Key, err = v.formKey(); err != nil {
		return busy.Answer{}, err
	}
	return v.page(status, "book-yours.html", title, out)
}

// zoneOf is the zone that the visitor chose or, in a link that lost it, that of
// the first who serves the booking.
func (v *visit) zoneOf(b busy.Booking) (*time.Location, error) {
	if name := v.values.Get("zone"); name != "" {
		return loadZone(name)
	}
	first, err := v.Store.FindResource(v.ctx, v.tenant, b.Resources[0].String())
	if err != nil {
		return nil, err
	}
	return time.LoadLocation(first.Zone)
}

func (v *visit) mayKeep(b busy.Booking) bool {
	return b.State == busy.BookingHeld && b.Live(v.now) && v.now.Before(b.CreatedAt.Add(longest-bookHold))
}

// prolong gives a visitor who needs longer ten more minutes from now, with what they
// have typed (WCAG 2.2, 2.2.1).
func (v *visit) prolong() (busy.Answer, error) {
	b, zone, err := v.mine()
	if err != nil {
		return busy.Answer{}, err
	}
	own := redirect(v.own(b.ID, v.token, "zone", zone.String()))
	if !v.mayKeep(b) {
		return own, nil
	}
	kept, err := v.Desk.Renew(v.ctx, v.tenant, b.ID, v.token, bookHold, nil)
	if late := (*booking.Refusal)(nil); errors.As(err, &late) || errors.Is(err, booking.ErrOver) {
		return own, nil // where it is said what became of it
	}
	if err != nil {
		return busy.Answer{}, err
	}
	return v.showAs(kept, zone, http.StatusOK, nil)
}

// book makes the hold a booking.
func (v *visit) book() (busy.Answer, error) {
	b, zone, err := v.mine()
	if err != nil {
		return busy.Answer{}, err
	}
	own := redirect(v.own(b.ID, v.token, "zone", zone.String()))
	if b.State != busy.BookingHeld || !b.Live(v.now) {
		return own, nil // where it is said what became of it
	}
	details, wrong := v.details()
	if len(wrong) > 0 {
		return v.showAs(b, zone, http.StatusUnprocessableEntity, wrong)
	}
	return v.once("book "+b.ID.String(), func(once busy.Once) (busy.Answer, error) {
		_, err := v.Desk.Book(v.ctx, v.tenant, booking.BookRequest{
			Hold: b.ID, Token: v.token, Details: details,
			Once: &booking.Once{Once: once, Render: func(busy.Booking, string) busy.Answer { return own }},
		})
		return v.changed(once, b, own, zone, err)
	})
}

// changed is the answer to a change of the booking. One that came too late leads to
// what the booking has become.
func (v *visit) changed(once busy.Once, b busy.Booking, own busy.Answer, zone *time.Location, err error) (busy.Answer, error) {
	var refused *booking.Refusal
	switch {
	case err == nil:
		return own, nil
	case errors.Is(err, booking.ErrOver), errors.Is(err, booking.ErrVersion), errors.As(err, &refused) && refused.Cause == booking.CauseState:
		return v.keep(once, own)
	}
	if gone, is := v.gone(err, b.Span.Start, zone); is {
		_, late := v.Desk.Cancel(v.ctx, v.tenant, b.ID, b.Version, nil) // nobody waits for it
		answer, err := v.keep(once, gone)
		return answer, errors.Join(err, late)
	}
	return busy.Answer{}, err
}

// details reads who books. busyd does not look at it again.
func (v *visit) details() (*busy.Details, violations) {
	name, email := strings.TrimSpace(v.values.Get(nameField)), strings.TrimSpace(v.values.Get(emailField))
	var wrong violations
	if name == "" || utf8.RuneCountInString(name) > 200 || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }) {
		wrong = append(wrong, violation{nameField, "Enter your name, with at most 200 letters."})
	}
	if a, err := mail.ParseAddress(email); err != nil || a.Address != email || len(email) > 254 {
		wrong = append(wrong, violation{emailField, "Enter an e-mail address such as ada@example.com."})
	}
	return &busy.Details{Fields: map[string]string{nameField: name, emailField: email}}, wrong
}

// cancel ends a booking that has not begun, or gives a hold back.
func (v *visit) cancel() (busy.Answer, error) {
	b, zone, err := v.mine()
	if err != nil {
		return busy.Answer{}, err
	}
	to := redirect(v.own(b.ID, v.token, "zone", zone.String()))
	if !b.Live(v.now) || !v.now.Before(b.Span.Start) {
		return to, nil
	}
	if b.State == busy.BookingHeld {
		to = v.back("given", b.Span.Start, zone)
	}
	return v.once("cancel "+b.ID.String(), func(once busy.Once) (busy.Answer, error) {
		// Of this version only: a hold that was booked meanwhile is not given back.
		_, err := v.Desk.Cancel(v.ctx, v.tenant, b.ID, b.Version, &booking.Once{Once: once, Render: func(busy.Booking, string) busy.Answer { return to }})
		return v.changed(once, b, to, zone, err)
	})
}
