package graph

import (
	"context"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// calendar is one of the account's, as Graph shows it.
type calendar struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Default bool   `json:"isDefaultCalendar"`
}

const maxCalendarPages = 100

// calendars lists all calendars. Every mailbox has one at least: an answer without
// any is not believed. Graph does not tell their zone without a permission to read
// the mailbox's settings.
func (c *client) calendars(ctx context.Context) ([]providers.Calendar, error) {
	at := c.to("/me/calendars?$select=id,name,isDefaultCalendar&$top=100")
	var found []providers.Calendar
	for range maxCalendarPages {
		page, err := list[calendar](ctx, c, at, 0)
		if err != nil {
			return nil, err
		}
		for _, one := range page.Value {
			if one.ID == "" {
				return nil, errIncomplete
			}
			found = append(found, providers.Calendar{Remote: busy.Secret(one.ID), Name: one.Name, Blocking: one.Default})
		}
		if page.Next == "" {
			if len(found) == 0 {
				return nil, errIncomplete
			}
			return found, nil
		}
		if at, err = c.pinned(page.Next); err != nil {
			return nil, err
		}
	}
	return nil, errEndless
}
