package googlefake

import (
	"fmt"
	"strings"
)

// mask is a parsed fields parameter: names, each with a mask of its own or none.
type mask map[string]mask

// parseMask reads "a,b(c,d)". It refuses names that the resource does not have.
func parseMask(text string, resource mask) (mask, error) {
	m, rest, err := parseNames(text, resource)
	if err == nil && rest != "" {
		err = fmt.Errorf("unbalanced fields")
	}
	return m, err
}

func parseNames(text string, resource mask) (mask, string, error) {
	m := mask{}
	for {
		end := strings.IndexAny(text, ",()")
		if end < 0 {
			end = len(text)
		}
		name := strings.TrimSpace(text[:end])
		inner, known := resource[name]
		if !known {
			return nil, "", fmt.Errorf("Invalid field selection %s", name) //nolint:staticcheck // Google's words
		}
		m[name], text = nil, text[end:]
		if strings.HasPrefix(text, "(") {
			var err error
			if m[name], text, err = parseNames(text[1:], inner); err != nil {
				return nil, "", err
			}
			if !strings.HasPrefix(text, ")") {
				return nil, "", fmt.Errorf("unbalanced fields")
			}
			text = text[1:]
		}
		if !strings.HasPrefix(text, ",") {
			return m, text, nil
		}
		text = text[1:]
	}
}

// apply leaves what the mask names; a nil mask leaves everything.
func (m mask) apply(v any) any {
	if m == nil {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		kept := map[string]any{}
		for name, inner := range m {
			if value, ok := v[name]; ok {
				kept[name] = inner.apply(value)
			}
		}
		return kept
	case []any:
		kept := make([]any, 0, len(v))
		for _, value := range v {
			kept = append(kept, m.apply(value))
		}
		return kept
	default:
		return v
	}
}

func names(text string) mask {
	m := mask{}
	for _, name := range strings.Fields(text) {
		m[name] = nil
	}
	return m
}

// eventsResource and calendarsResource are what can be asked for.
func eventsResource() mask {
	m := names("kind etag summary description updated timeZone accessRole defaultReminders nextPageToken nextSyncToken items")
	m["items"] = names(`kind id etag status htmlLink created updated summary description location colorId creator organizer
		start end endTimeUnspecified recurrence recurringEventId originalStartTime transparency visibility iCalUID sequence
		attendees attendeesOmitted extendedProperties hangoutLink conferenceData reminders source attachments eventType`)
	m["items"]["attendees"] = names("id email displayName organizer self resource optional responseStatus comment additionalGuests")
	m["items"]["start"] = names("date dateTime timeZone")
	return m
}

func calendarEntryResource() mask {
	return names(`kind etag id summary description location timeZone summaryOverride colorId hidden selected defaultReminders
		primary accessRole deleted backgroundColor foregroundColor notificationSettings`)
}

func calendarsResource() mask {
	m := names("kind etag nextPageToken nextSyncToken items")
	m["items"] = calendarEntryResource()
	return m
}

// masked applies the fields parameter to an answer.
func (s *Server) masked(fields string, resource mask, body map[string]any) (map[string]any, *reason) {
	if fields == "" {
		return nil, bad("a strict server wants a mask")
	}
	m, err := parseMask(fields, resource)
	if err != nil {
		return nil, &reason{400, "invalidParameter", err.Error()}
	}
	if s.o.Leaky {
		return body, nil
	}
	return m.apply(body).(map[string]any), nil
}
