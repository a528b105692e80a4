package main

import (
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
	"github.com/busyd/busyd/store"
)

func newWebhookCommand(a *app) *cobra.Command {
	return group("webhook", "Endpoints that messages are sent to",
		newWebhookAddCommand(a), newWebhookListCommand(a), newWebhookRemoveCommand(a), newWebhookRotateCommand(a), newWebhookReplayCommand(a))
}

type webhookView struct {
	ID           busy.EndpointID    `json:"id"`
	URL          string             `json:"url"`
	Types        []busy.MessageType `json:"types,omitempty"`
	CreatedAt    time.Time          `json:"created_at"`
	FailingSince time.Time          `json:"failing_since,omitzero"`
	Code         string             `json:"code,omitempty"`
	DisabledAt   time.Time          `json:"disabled_at,omitzero"`
	Reason       string             `json:"reason,omitempty"`
	Secret       string             `json:"secret,omitempty"` // when it is made, never again
}

func viewWebhook(e busy.Endpoint, secret string) webhookView {
	return webhookView{e.ID, e.URL, e.Types, e.CreatedAt, e.FailingSince, e.Code, e.DisabledAt, e.Reason, secret}
}

func newWebhookAddCommand(a *app) *cobra.Command {
	var tenant, url string
	var types []string
	c := &cobra.Command{
		Use:   "add --tenant T --url U [--type TYPE]",
		Short: "Have messages sent to an endpoint, and print its secret, once",
		Long: `Have messages sent to an endpoint, as Standard Webhooks (standardwebhooks.com),
and print the secret that verifies them, the only time that it can be seen.

The address must be https, and public unless the setting network.allow lists it.
Types: ` + strings.Join(typeNames(busy.MessageTypes()), ", ") + `.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				e := busy.Endpoint{URL: url}
				for _, t := range types {
					e.Types = append(e.Types, busy.MessageType(strings.TrimSpace(t)))
				}
				e, secret, err := s.store.CreateEndpoint(s, s.tenant.ID, e, a.now())
				if err != nil {
					return err
				}
				return a.show(cmd, viewWebhook(e, secret), func(w io.Writer) {
					say(cmd.ErrOrStderr(), "Webhook %s. Keep the secret: it cannot be shown again.", e.ID)
					say(w, "%s", secret)
				})
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&url, "url", "", "https `address` of the endpoint")
	c.Flags().StringSliceVar(&types, "type", nil, "`type` of messages to send; several with commas (default all)")
	required(c, "url")
	return c
}

func typeNames(types []busy.MessageType) []string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return names
}

func newWebhookListCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "list --tenant T",
		Short: "List a tenant's endpoints, and whether messages arrive",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				all, err := s.store.Endpoints(s, s.tenant.ID)
				if err != nil {
					return err
				}
				views, rows := []webhookView{}, [][]string{}
				for _, e := range all {
					views = append(views, viewWebhook(e, ""))
					types := strings.Join(typeNames(e.Types), ", ")
					if types == "" {
						types = "all"
					}
					rows = append(rows, []string{e.ID.String(), e.URL, types, webhookState(e, a.now())})
				}
				return a.show(cmd, views, func(w io.Writer) { table(w, "id,url,types,state", rows) })
			})
		},
	}
	tenantFlag(c, &tenant)
	return c
}

func webhookState(e busy.Endpoint, now time.Time) string {
	switch {
	case !e.DisabledAt.IsZero():
		return "disabled " + ago(e.DisabledAt, now) + " (" + e.Reason + ", " + e.Code + ")"
	case !e.FailingSince.IsZero():
		return "failing since " + ago(e.FailingSince, now) + " (" + e.Code + ")"
	default:
		return "good"
	}
}

// onWebhook is a command on one endpoint.
func onWebhook(a *app, tenant *string, do func(*session, busy.EndpointID) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		id, err := busy.ParseID[busy.Endpoint](args[0])
		if err != nil {
			return err
		}
		return a.inTenant(cmd, *tenant, func(s *session) error {
			err := do(s, id)
			if errors.Is(err, busy.ErrNotFound) {
				return missing("webhook", "webhook list")
			}
			return err
		})
	}
}

func newWebhookRemoveCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "remove ID --tenant T",
		Short: "Send no more messages to an endpoint, and forget what waits for it",
		Args:  cobra.ExactArgs(1),
	}
	c.RunE = onWebhook(a, &tenant, func(s *session, id busy.EndpointID) error {
		if err := s.store.DeleteEndpoint(s, s.tenant.ID, id); err != nil {
			return err
		}
		return a.show(s.cmd, map[string]busy.EndpointID{"removed": id}, func(w io.Writer) { say(w, "Removed webhook %s.", id) })
	})
	tenantFlag(c, &tenant)
	return c
}

func newWebhookRotateCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "rotate ID --tenant T",
		Short: "Give an endpoint a new secret, and print it, once",
		Long: `Give an endpoint a new secret, and print it, the only time that it can be seen.
For a day the secret before it signs along: until then, verify with either.`,
		Args: cobra.ExactArgs(1),
	}
	c.RunE = onWebhook(a, &tenant, func(s *session, id busy.EndpointID) error {
		now := a.now()
		secret, err := s.store.RotateSecret(s, s.tenant.ID, id, now)
		if err != nil {
			return err
		}
		return a.show(s.cmd, map[string]string{"id": id.String(), "secret": secret}, func(w io.Writer) {
			say(s.cmd.ErrOrStderr(), "The old secret counts for another %s. Keep the new one: it cannot be shown again.", short(store.SecretOverlap))
			say(w, "%s", secret)
		})
	})
	tenantFlag(c, &tenant)
	return c
}

func newWebhookReplayCommand(a *app) *cobra.Command {
	var tenant, since string
	c := &cobra.Command{
		Use:   "replay ID --tenant T [--since D]",
		Short: "Send an endpoint its messages again, and enable it if it was disabled",
		Long: `Send an endpoint the messages again that were given up, or, with --since, all
that were written since. They have the webhook-id that they had. An endpoint that
was disabled is not any more. Messages are kept for seven days.`,
		Args: cobra.ExactArgs(1),
	}
	c.RunE = onWebhook(a, &tenant, func(s *session, id busy.EndpointID) error {
		now := a.now()
		from, err := parseSince(since, now)
		if err != nil {
			return err
		}
		n, err := s.store.Replay(s, s.tenant.ID, id, from, now)
		if err != nil {
			return err
		}
		return a.show(s.cmd, map[string]int{"messages": n}, func(w io.Writer) { say(w, "%s to be sent again.", plural(n, "message")) })
	})
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&since, "since", "", "`time` from which on to send all again, as 2026-03-02T09:00:00Z, or how long ago, as 2h (default: those that were given up)")
	return c
}

// parseSince reads a time, or a duration before now; empty is the zero time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	d, err := configs.ParseDuration(text)
	if err != nil || d <= 0 {
		return time.Time{}, busy.Invalid("--since", "must be a time such as 2026-03-02T09:00:00Z or a duration such as 2h")
	}
	return now.Add(-d), nil
}
