package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"google.golang.org/api/googleapi"

	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// Codes of errors that are made here.
const (
	codeUnreadable = "unreadable_answer"
	codeIncomplete = "incomplete_listing" // it ends without the token that proves it complete
	codeNotFound   = "not_found"
)

// reasons are the refusals that Google tells apart, by reason; the status says
// too little, for 403 is as much a throttle as a lost permission. Each reason is
// the error's code too.
var reasons = map[string]providers.Fault{
	"rateLimitExceeded":           providers.Throttled,
	"userRateLimitExceeded":       providers.Throttled,
	"quotaExceeded":               providers.Throttled,
	"dailyLimitExceeded":          providers.Throttled,
	"calendarUsageLimitsExceeded": providers.Throttled,

	"fullSyncRequired":     providers.CursorExpired,
	"updatedMinTooLongAgo": providers.CursorExpired,

	"insufficientPermissions": providers.Revoked, // the grant lacks a scope
	"authError":               providers.Revoked,
	"accountDisabled":         providers.Revoked,
	"accountDeleted":          providers.Revoked,

	"accessNotConfigured": providers.Operator, // the API is not enabled for our project
	"keyInvalid":          providers.Operator,
	"projectNotLinked":    providers.Operator,
	// The address that is to be called back.
	"push.webhookUrlNotHttps":     providers.Operator,
	"push.webhookUrlUnauthorized": providers.Operator,

	"domainPolicy":      providers.AwaitingAdmin, // the organisation has switched calendar apps off
	"notACalendarUser":  providers.AwaitingAdmin, // or the calendar itself
	"admin_policy":      providers.AwaitingAdmin,
	"policyEnforcement": providers.AwaitingAdmin,

	"badRequest":                           providers.Rejected,
	"invalid":                              providers.Rejected,
	"invalidParameter":                     providers.Rejected,
	"required":                             providers.Rejected,
	"channelIdNotUnique":                   providers.Rejected,
	"pushNotSupportedForRequestedResource": providers.Rejected,

	"backendError":  providers.Transient,
	"internalError": providers.Transient,
}

// absent are the refusals of a calendar that may not be there any more: it was
// removed, or is not shared with the account as it was.
var absent = map[string]bool{"notFound": true, "deleted": true, "forbidden": true, "requiredAccessLevel": true}

// explain turns a failure of the library into an error that holds neither the
// request's address, which can be an e-mail address, nor anything of the answer.
func (p *Provider) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if known := (*providers.Error)(nil); errors.As(err, &known) {
		return known
	}
	if refused := (*googleapi.Error)(nil); errors.As(err, &refused) {
		return p.byReason(refused)
	}
	if sent := (*url.Error)(nil); errors.As(err, &sent) {
		return fmt.Errorf("send a request: %w", sent.Err)
	}
	return &providers.Error{Code: codeUnreadable}
}

func (p *Provider) byReason(e *googleapi.Error) error {
	for _, item := range e.Errors {
		fault, known := reasons[item.Reason]
		switch {
		case !known:
			continue
		case fault == providers.Throttled:
			return &providers.Error{Fault: fault, Code: item.Reason, After: transport.RetryAfter(e.Header, p.Now())}
		default:
			return &providers.Error{Fault: fault, Code: item.Reason}
		}
	}
	return p.byStatus(e.Code, e.Header)
}

func (p *Provider) byStatus(status int, h http.Header) error {
	switch {
	case status == http.StatusUnauthorized:
		return &providers.Error{Fault: providers.Revoked, Code: "unauthorized"}
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return &providers.Error{Fault: providers.Throttled, Code: fmt.Sprintf("status_%d", status), After: transport.RetryAfter(h, p.Now())}
	case status == http.StatusBadRequest || status == http.StatusForbidden || status == http.StatusMethodNotAllowed ||
		status == http.StatusRequestURITooLong || status == http.StatusRequestEntityTooLarge:
		return &providers.Error{Fault: providers.Rejected, Code: fmt.Sprintf("status_%d", status)}
	default:
		return &providers.Error{Code: fmt.Sprintf("status_%d", status)}
	}
}

// isAbsent reports whether the calendar of a request seems not to be there.
func isAbsent(err error) bool {
	refused := (*googleapi.Error)(nil)
	if !errors.As(err, &refused) {
		return false
	}
	for _, item := range refused.Errors {
		if absent[item.Reason] {
			return true
		}
	}
	return refused.Code == http.StatusNotFound
}
