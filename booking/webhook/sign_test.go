package webhook

import (
	"testing"
	"time"

	"github.com/busyd/busyd/busy"
)

// The example of the specification's libraries.
func TestSign(t *testing.T) {
	const known = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	first, second := busy.Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), busy.Secret("whsec_c2Vjb25kIHNlY3JldCBvZiBhdCBsZWFzdCAyNCBieXRlcw==")
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	got, err := sign([]busy.Secret{first}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if err != nil || got != known {
		t.Errorf("signature %q, %v, want %q", got, err, known)
	}
	both, err := sign([]busy.Secret{second, first}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if err != nil || len(both) != 2*len(known)+1 || both[len(known):] != " "+known {
		t.Errorf("signatures %q, %v, want two of them with a space between", both, err)
	}
	for _, wrong := range []busy.Secret{nil, busy.Secret("whsec_"), busy.Secret("whsec_%")} {
		if got, err := sign([]busy.Secret{wrong}, "msg_1", at, body); err == nil {
			t.Errorf("a secret that is none signs %q", got)
		}
	}
}
