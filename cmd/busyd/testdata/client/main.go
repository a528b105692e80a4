// Command client books, moves and cancels a meeting at the busyd that BUSYD_URL
// and BUSYD_KEY name, with the client that was generated from its document.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"busyd.example/client/busyd"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	key := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Getenv("BUSYD_KEY"))
		return nil
	}
	api, err := busyd.NewClientWithResponses(os.Getenv("BUSYD_URL"), busyd.WithRequestEditorFn(key))
	if err != nil {
		return err
	}
	c := client{ctx, api}
	service, err := c.service("Meeting with everybody")
	if err != nil {
		return err
	}
	starts, err := c.starts(service)
	if err != nil {
		return err
	}
	if len(starts) < 3 {
		return fmt.Errorf("%d starts are offered", len(starts))
	}
	return c.live(service, starts[1:]) // the first may be too soon in a moment
}

type client struct {
	ctx context.Context
	api *busyd.ClientWithResponses
}

func (c client) service(name string) (busyd.ServiceItem, error) {
	got := sent(c.api.ListServicesWithResponse(c.ctx, &busyd.ListServicesParams{}))
	if got.JSON200 == nil {
		return busyd.ServiceItem{}, failed("list services", got.StatusCode(), got.Body)
	}
	i := slices.IndexFunc(got.JSON200.Services, func(s busyd.ServiceItem) bool { return s.Name == name })
	if i < 0 {
		return busyd.ServiceItem{}, fmt.Errorf("there is no service %q", name)
	}
	return got.JSON200.Services[i], nil
}

func (c client) starts(s busyd.ServiceItem) ([]time.Time, error) {
	from := time.Now().UTC().Truncate(time.Hour)
	services, form := []string{s.Id.String()}, busyd.AvailabilityBodyForm("slots")
	got := sent(c.api.AskAvailabilityWithResponse(c.ctx, nil, busyd.AvailabilityBody{
		Services: &services, From: from, To: from.AddDate(0, 0, 14), Form: &form,
	}))
	if got.JSON200 == nil {
		return nil, failed("ask for availability", got.StatusCode(), got.Body)
	}
	var starts []time.Time
	for _, slot := range got.JSON200.Services[0].Slots {
		starts = append(starts, slot.Start)
	}
	return starts, nil
}

// live takes a booking from a hold to its cancellation.
func (c client) live(s busyd.ServiceItem, starts []time.Time) error {
	held := sent(c.api.HoldWithResponse(c.ctx, &busyd.HoldParams{IdempotencyKey: rand.Text()}, busyd.HoldBody{Service: s.Id, Start: starts[0]}))
	if held.JSON201 == nil {
		return failed("hold", held.StatusCode(), held.Body)
	}
	taken := sent(c.api.BookWithResponse(c.ctx, &busyd.BookParams{IdempotencyKey: rand.Text()}, busyd.BookBody{Service: &s.Id, Start: &starts[0]}))
	if taken.ApplicationproblemJSON409 == nil || taken.ApplicationproblemJSON409.Alternatives == nil {
		return failed("be refused what is held", taken.StatusCode(), taken.Body)
	}
	fmt.Printf("held %s; others are told %s, and of %d other times\n",
		starts[0], *taken.ApplicationproblemJSON409.Reason, len(*taken.ApplicationproblemJSON409.Alternatives))

	reference := "case 7"
	id := held.JSON201.Booking.Id
	booked := sent(c.api.BookWithResponse(c.ctx, &busyd.BookParams{IdempotencyKey: rand.Text(), HoldToken: &held.JSON201.Token},
		busyd.BookBody{Hold: &id, PersonalData: &busyd.PersonalData{Reference: &reference}}))
	if booked.JSON201 == nil {
		return failed("book", booked.StatusCode(), booked.Body)
	}
	fmt.Println("booked", booked.JSON201.Start)

	tag := booked.HTTPResponse.Header.Get("ETag")
	moved := sent(c.api.RescheduleBookingWithResponse(c.ctx, id, &busyd.RescheduleBookingParams{IdempotencyKey: rand.Text(), IfMatch: &tag},
		busyd.RescheduleBody{Start: starts[1]}))
	if moved.JSON200 == nil || !moved.JSON200.Start.Equal(starts[1]) {
		return failed("reschedule", moved.StatusCode(), moved.Body)
	}
	fmt.Println("rescheduled to", moved.JSON200.Start)

	stale := sent(c.api.CancelBookingWithResponse(c.ctx, id, &busyd.CancelBookingParams{IdempotencyKey: rand.Text(), IfMatch: &tag}))
	if stale.ApplicationproblemJSON412 == nil {
		return failed("be told that it has changed", stale.StatusCode(), stale.Body)
	}
	cancelled := sent(c.api.CancelBookingWithResponse(c.ctx, id, &busyd.CancelBookingParams{IdempotencyKey: rand.Text()}))
	if cancelled.JSON200 == nil || cancelled.JSON200.State != "cancelled" {
		return failed("cancel", cancelled.StatusCode(), cancelled.Body)
	}
	free, err := c.starts(s)
	if err == nil && !slices.ContainsFunc(free, starts[0].Equal) {
		err = fmt.Errorf("cancelled, and %s is not offered", starts[0])
	}
	fmt.Println("cancelled")
	return err
}

// sent is an answer; without one there is no use in going on.
func sent[T any](answer T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return answer
}

func failed(what string, status int, body []byte) error {
	return fmt.Errorf("%s: %d %s", what, status, body)
}
