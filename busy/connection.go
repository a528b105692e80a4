package busy

import "time"

// ConnectionState is where a connection is in its life.
type ConnectionState string

// The states of a connection.
const (
	ConnectionActive         ConnectionState = "active"
	ConnectionDegraded       ConnectionState = "degraded"        // read, but one of its calendars keeps failing
	ConnectionNeedsReconnect ConnectionState = "needs_reconnect" // the provider refuses the credential
	ConnectionAwaitingAdmin  ConnectionState = "awaiting_admin"  // the owner's organisation must consent
	ConnectionPaused         ConnectionState = "paused"          // somebody asked for a pause
	ConnectionDisconnected   ConnectionState = "disconnected"    // final: the secret is destroyed
)

// ConnectionStates lists every state, in the order of a life.
func ConnectionStates() []ConnectionState {
	return []ConnectionState{
		ConnectionActive, ConnectionDegraded, ConnectionNeedsReconnect, ConnectionAwaitingAdmin, ConnectionPaused, ConnectionDisconnected,
	}
}

// Polled reports whether a connection's calendars are read in the state.
func (s ConnectionState) Polled() bool { return s == ConnectionActive || s == ConnectionDegraded }

// May reports whether a connection may go from one state into another. The empty
// state is that of a connection that is being made.
func (s ConnectionState) May(next ConnectionState) bool {
	switch s {
	case "":
		return next == ConnectionActive || next == ConnectionAwaitingAdmin
	case ConnectionActive, ConnectionDegraded:
		return next != s && next != ""
	case ConnectionNeedsReconnect:
		return next == ConnectionActive || next == ConnectionAwaitingAdmin || next == ConnectionDisconnected
	case ConnectionAwaitingAdmin, ConnectionPaused:
		return next == ConnectionActive || next == ConnectionDisconnected
	default:
		return false // disconnecting is final
	}
}

// KeepsFailing is how many runs of a calendar in a row must fail, over some four
// minutes, for its connection to be degraded.
const KeepsFailing = 5

// Connection is a customer's account at a provider. Its credential is not here:
// it leaves the store only in a [Work].
type Connection struct {
	ID        ConnectionID
	Resource  ResourceID
	Kind      Kind
	State     ConnectionState
	Reason    string // a stable code for why the state is not active; may be empty
	CreatedAt time.Time
	ChangedAt time.Time // of State
}

// Explain says for a person why the connection is not active, and who can do
// something about it; empty if it is.
func (c Connection) Explain() string {
	switch c.State {
	case ConnectionDegraded:
		return "One of its calendars keeps failing: " + explainOutcome(Outcome(c.Reason)) + ". It is tried again and again."
	case ConnectionNeedsReconnect:
		return explainRefusal(c.Reason) + " The owner must connect it again."
	case ConnectionAwaitingAdmin:
		return "The owner's organisation does not let busyd in yet. Its administrator must allow it; then the owner connects it again."
	case ConnectionPaused:
		return "It is paused: nothing is read until somebody resumes it."
	case ConnectionDisconnected:
		return "It is disconnected for good. Nothing of it is kept."
	default:
		return ""
	}
}

func explainOutcome(o Outcome) string {
	switch o {
	case OutcomeThrottled:
		return "the provider asks for a pause"
	case OutcomeGone:
		return "the provider has no such calendar any more"
	case OutcomeSuspicious:
		return "the provider suddenly lists almost nothing, and that is not believed yet"
	case OutcomeOperator:
		return "the provider refuses busyd's own registration, which the operator must mend"
	case OutcomeRejected:
		return "the provider calls a request wrong; the operator finds it in the log"
	case OutcomeUnreachable:
		return "the provider cannot be reached, or answers with errors"
	case OutcomeInterrupted:
		return "it is stopped before it has read everything"
	default:
		return "something went wrong here; the operator finds it in the log"
	}
}

// explainRefusal reads the codes under which providers refuse a credential, and
// Microsoft's numbers.
func explainRefusal(code string) string {
	switch code {
	case "invalid_grant", "aadsts_50173", "aadsts_65001", "aadsts_65004", "aadsts_70000", "consent_required":
		return "The owner's consent was taken back, or has expired."
	case "aadsts_70008", "aadsts_700082", "aadsts_700084":
		return "The owner's consent has expired."
	case "insufficientPermissions":
		return "The owner's consent does not include reading calendars."
	case "interaction_required", "login_required",
		"aadsts_50072", "aadsts_50074", "aadsts_50076", "aadsts_50078", "aadsts_50079", "aadsts_50158", "aadsts_70043":
		return "The provider asks the owner to sign in again."
	case "policy", "aadsts_50105", "aadsts_53000", "aadsts_53001", "aadsts_53003":
		return "A rule of the owner's organisation keeps busyd out; its administrator can tell."
	case "password_expired", "password_change_required", "aadsts_50055", "aadsts_50132", "aadsts_50133", "aadsts_50144":
		return "The account's password has changed or expired."
	case "account_disabled", "accountDisabled", "accountDeleted", "no_mailbox",
		"aadsts_50014", "aadsts_50034", "aadsts_50053", "aadsts_50057", "aadsts_500341":
		return "The account is locked, disabled or deleted."
	case "access_denied", "impersonation_denied":
		return "The account may not read the mailbox any more."
	default:
		return "The provider refuses the password or the consent."
	}
}
