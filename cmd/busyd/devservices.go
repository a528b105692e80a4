package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/booking/api"
	"github.com/busyd/busyd/busy"
)

// sampleService is something that `busyd dev` lets be booked.
type sampleService struct {
	name  string
	rules api.Rules
}

// sampleServices are a meeting with any of the people and one with all of them.
func sampleServices(people []busy.Resource) []sampleService {
	var any api.Need
	var all []api.Need
	for _, p := range people {
		any.Resources = append(any.Resources, p.ID.String())
		all = append(all, api.Need{Resources: []string{p.ID.String()}})
	}
	return []sampleService{
		{"Consultation", api.Rules{Duration: "30m", After: "10m", Notice: "1h", Horizon: "60d", Public: true, Needs: []api.Need{any}}},
		{"Meeting with everybody", api.Rules{Duration: "60m", Interval: "30m", Notice: "1h", Horizon: "60d", Public: true, Needs: all}},
	}
}

func ownServices(r busy.Resource) []sampleService {
	return []sampleService{
		{"Meeting", api.Rules{Duration: "30m", Notice: "1h", Horizon: "60d", Public: true, Needs: []api.Need{{Resources: []string{r.ID.String()}}}}},
	}
}

// seedServices makes those that are missing.
func (s *session) seedServices(services []sampleService) error {
	for _, sample := range services {
		service, err := sample.rules.Service()
		if err != nil {
			return err
		}
		service.Name = sample.name
		if _, err := s.store.CreateService(s, s.tenant.ID, service); err != nil && !errors.Is(err, busy.ErrExists) {
			return err
		}
	}
	return nil
}

// bookable is what of a curl books the first service that has a free time in a
// week; empty if none has.
func (s *session) bookable(services []busy.Service) string {
	for _, service := range services {
		now := s.app.now()
		q := booking.Question{
			Service: service, Span: busy.Span{Start: now, End: now.AddDate(0, 0, 7)}, Now: now,
			StaleAfter: s.config.API.StaleAfter, Form: booking.OverlappingSlots,
		}
		agendas, err := s.store.Agendas(s, s.tenant.ID, service.Resources(), q.Reads())
		if err != nil {
			return ""
		}
		offering, err := booking.Offers(agendas, q)
		if err != nil || len(offering.Slots) == 0 {
			continue
		}
		return fmt.Sprintf(`-H "Idempotency-Key: $(date +%%s)" -H 'Content-Type: application/json' -d '{"service":"%s","start":"%s"}'`,
			service.ID, offering.Slots[0].Start.UTC().Format(time.RFC3339))
	}
	return ""
}
