package main

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/configs"
)

func newKeyCommand(a *app) *cobra.Command {
	return group("key", "API keys", newKeyCreateCommand(a), newKeyListCommand(a), newKeyRevokeCommand(a))
}

type keyView struct {
	ID        busy.KeyID   `json:"id"`
	Name      string       `json:"name"`
	Scopes    []busy.Scope `json:"scopes"`
	CreatedAt time.Time    `json:"created_at"`
	ExpiresAt time.Time    `json:"expires_at,omitzero"`
	RevokedAt time.Time    `json:"revoked_at,omitzero"`
	Token     string       `json:"token,omitempty"` // when it is created, never again
}

func viewKey(k busy.APIKey, token string) keyView {
	return keyView{k.ID, k.Name, k.Scopes, k.CreatedAt, k.ExpiresAt, k.RevokedAt, token}
}

func newKeyCreateCommand(a *app) *cobra.Command {
	var tenant, name, expires string
	var scopes []string
	c := &cobra.Command{
		Use:   "create --tenant T --scope SCOPE",
		Short: "Create an API key and print its token, once",
		Long: `Create an API key and print its token, the only time that it can be seen.

Scopes: read asks for busy time and availability, sync asks for a resync, book
holds, books, reschedules and cancels and includes read, admin changes calendars,
services and connections and includes the others.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := parseScopes(scopes)
			if err != nil {
				return err
			}
			var end time.Time
			if expires != "" {
				d, err := configs.ParseDuration(expires)
				if err != nil {
					return busy.Invalid("--expires", err.Error())
				}
				end = a.now().Add(d)
			}
			return a.inTenant(cmd, tenant, func(s *session) error {
				key, token, err := s.store.CreateKey(s, s.tenant.ID, name, wanted, end, a.now())
				if err != nil {
					return err
				}
				return a.show(cmd, viewKey(key, token), func(w io.Writer) {
					say(cmd.ErrOrStderr(), "Key %s. Keep the token: it cannot be shown again.", key.ID)
					say(w, "%s", token)
				})
			})
		},
	}
	tenantFlag(c, &tenant)
	c.Flags().StringVar(&name, "name", "key", "`name` that people call it by")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "read, sync, book or admin; several with commas")
	c.Flags().StringVar(&expires, "expires", "", "`duration` for which it is good, such as 90d (default for ever)")
	required(c, "scope")
	return c
}

func parseScopes(words []string) ([]busy.Scope, error) {
	var scopes []busy.Scope
	for _, word := range words {
		s := busy.Scope(strings.TrimSpace(word))
		if !slices.Contains(busy.Scopes(), s) {
			return nil, busy.Invalid("--scope", "must be of read, sync, book, admin")
		}
		scopes = append(scopes, s)
	}
	if len(scopes) == 0 {
		return nil, busy.Invalid("--scope", "must be of read, sync, book, admin")
	}
	return scopes, nil
}

func newKeyListCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "list --tenant T",
		Short: "List a tenant's API keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inTenant(cmd, tenant, func(s *session) error {
				all, err := s.store.Keys(s, s.tenant.ID)
				if err != nil {
					return err
				}
				views, rows := []keyView{}, [][]string{}
				for _, k := range all {
					views = append(views, viewKey(k, ""))
					rows = append(rows, []string{k.ID.String(), k.Name, joinScopes(k.Scopes), keyState(k, a.now())})
				}
				return a.show(cmd, views, func(w io.Writer) { table(w, "id,name,scopes,state", rows) })
			})
		},
	}
	tenantFlag(c, &tenant)
	return c
}

func joinScopes(scopes []busy.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func keyState(k busy.APIKey, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked " + ago(k.RevokedAt, now)
	case k.ExpiresAt.IsZero():
		return "good"
	case now.Before(k.ExpiresAt):
		return "expires " + until(k.ExpiresAt, now)
	default:
		return "expired " + ago(k.ExpiresAt, now)
	}
}

func newKeyRevokeCommand(a *app) *cobra.Command {
	var tenant string
	c := &cobra.Command{
		Use:   "revoke ID --tenant T",
		Short: "Revoke an API key; it is refused from then on",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := busy.ParseID[busy.APIKey](args[0])
			if err != nil {
				return err
			}
			return a.inTenant(cmd, tenant, func(s *session) error {
				if err := s.store.RevokeKey(s, s.tenant.ID, id, a.now()); err != nil {
					return err
				}
				return a.show(cmd, map[string]busy.KeyID{"revoked": id}, func(w io.Writer) { say(w, "Revoked key %s.", id) })
			})
		},
	}
	tenantFlag(c, &tenant)
	return c
}
