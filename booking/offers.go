package booking

import "github.com/busyd/busyd/busy"

// Offering has the slots by Start, and how every resource of the service stands,
// in the order of its Resources. What is said of freshness is about the part of the
// span that is not over, for no slot lies in the rest.
type Offering struct {
	Slots     []Slot
	Standings []Standing
}

// Offers returns when the service can be had. The agendas are those of the
// service's resources, in any order, and hold what is in q.Reads.
func Offers(agendas []busy.Agenda, q Question) (Offering, error) {
	return Offering{}, errUnbuilt
}
