package graph

import (
	"encoding/json"
	"errors"
	"net/http"
	"unicode"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// notifications is the body of a callback. What changed is in it, too, and is not
// looked at: whoever knows the address could have written it.
type notifications struct {
	Value []struct {
		Token     string `json:"clientState"`
		Lifecycle string `json:"lifecycleEvent"`
	} `json:"value"`
}

// maxProof bounds the text that proves that the address is ours.
const maxProof = 4096

var errNotification = &providers.Error{Fault: providers.Rejected, Code: "not_a_notification", Err: errors.New("this is no notification of Microsoft Graph")}

// Receive implements [providers.Receiver]. Notifications that say the same come
// as one hint.
func (*Provider) Receive(r *http.Request) (providers.Notice, error) {
	q := r.URL.Query()
	if q.Has("validationToken") {
		proof := q.Get("validationToken")
		if proof == "" || len(proof) > maxProof || !isText(proof) {
			return providers.Notice{}, errNotification
		}
		return providers.Notice{Reply: []byte(proof)}, nil
	}
	var body notifications
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Value) == 0 || q.Get(watchParameter) == "" {
		return providers.Notice{}, errNotification
	}
	var notice providers.Notice
	seen := map[string]bool{}
	for _, n := range body.Value {
		if key := n.Lifecycle + "\x00" + n.Token; !seen[key] {
			seen[key] = true
			notice.Hints = append(notice.Hints, providers.Hint{
				Watch: q.Get(watchParameter), Token: busy.Secret(n.Token), News: newsOf(n.Lifecycle),
			})
		}
	}
	return notice, nil
}

func newsOf(lifecycle string) providers.News {
	switch lifecycle {
	case "reauthorizationRequired":
		return providers.Expiring
	case "subscriptionRemoved":
		return providers.Ended
	case "missed":
		return providers.Missed
	default:
		return providers.Changed
	}
}

// isText keeps what a stranger has us reply to what a browser shows as text.
func isText(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
