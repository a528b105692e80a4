package graph

import (
	"encoding/json"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/oauth2"

	"github.com/busyd/busyd/providers"
)

// refused is what the numbers of Microsoft's sign-in service mean for a grant
// that there is already. Those that are not here leave it to the codes of RFC
// 6749.
var refused = map[int]providers.Fault{
	50014:  providers.Revoked, // the account does not exist in the organisation
	50034:  providers.Revoked, // the account does not exist
	50053:  providers.Revoked, // the account is locked
	50055:  providers.Revoked, // the password has expired
	50057:  providers.Revoked, // the account is disabled
	50072:  providers.Revoked, // a second factor must be set up
	50074:  providers.Revoked, // a second factor is asked for
	50076:  providers.Revoked, // a second factor is asked for
	50078:  providers.Revoked, // the second factor has expired
	50079:  providers.Revoked, // a second factor must be set up
	50105:  providers.Revoked, // the owner is not assigned to the application
	50132:  providers.Revoked, // the password was changed, or all sessions ended
	50133:  providers.Revoked, // the password was changed
	50144:  providers.Revoked, // the directory's password has expired
	50158:  providers.Revoked, // another check is asked for
	50173:  providers.Revoked, // the grant was revoked
	53000:  providers.Revoked, // Conditional Access: the device
	53001:  providers.Revoked, // Conditional Access: the device
	53003:  providers.Revoked, // Conditional Access
	65001:  providers.Revoked, // the consent was taken back
	65004:  providers.Revoked, // the consent was declined
	70000:  providers.Revoked, // the grant is not valid
	70008:  providers.Revoked, // the grant has expired
	70043:  providers.Revoked, // the organisation limits how long one stays signed in
	500341: providers.Revoked, // the account was deleted
	700082: providers.Revoked, // the grant was not used for too long
	700084: providers.Revoked, // the grant of a page in the browser has expired

	90093:  providers.AwaitingAdmin, // an administrator must consent
	90094:  providers.AwaitingAdmin, // an administrator must consent
	90095:  providers.AwaitingAdmin, // an administrator is asked to consent
	900941: providers.AwaitingAdmin, // an administrator must consent

	70001:   providers.Operator, // no such application
	70002:   providers.Operator, // the application's credential is refused
	70011:   providers.Operator, // the permissions asked for do not exist
	50011:   providers.Operator, // the redirect address is not registered
	90002:   providers.Operator, // no such organisation
	500011:  providers.Operator, // no such resource
	700016:  providers.Operator, // no such application in the organisation
	700027:  providers.Operator, // the certificate's signature is not valid
	7000112: providers.Operator, // the application is disabled
	7000215: providers.Operator, // the secret is wrong
	7000218: providers.Operator, // the secret is missing
	7000222: providers.Operator, // the secret has expired

	50033:  providers.Transient,
	50087:  providers.Transient,
	50196:  providers.Throttled, // the same request over and over: ours
	90006:  providers.Transient,
	90024:  providers.Transient,
	90033:  providers.Transient,
	90055:  providers.Throttled, // too many requests
	700005: providers.Revoked,   // the code is for another organisation
}

const (
	// loops: the service has stopped a client that asks for the same over and over.
	loops = 50196
	// vague comes along with a number that says more.
	vague = 70002
)

// needsAdmin: while connecting, the owner's organisation must consent first.
var needsAdmin = map[int]bool{65001: true, 90093: true, 90094: true, 90095: true, 900941: true}

// byPolicy: while connecting, a rule of the owner's organisation is in the way.
var byPolicy = map[int]bool{50105: true, 53000: true, 53001: true, 53003: true}

// loopPause is how long an account is left alone that asked in a loop.
const loopPause = 15 * time.Minute

// refusalOf reads an error of the token endpoint by its numbers.
func refusalOf(e *oauth2.RetrieveError) *providers.Error {
	var body struct {
		Numbers []int `json:"error_codes"`
	}
	_ = json.Unmarshal(e.Body, &body) // without numbers, the error's own code tells
	fault, n := faultOf(body.Numbers)
	switch {
	case n == loops:
		return &providers.Error{Fault: fault, Code: codeOf(n), After: loopPause}
	case n != 0:
		return &providers.Error{Fault: fault, Code: codeOf(n)}
	case e.ErrorCode == "interaction_required" || e.ErrorCode == "consent_required" || e.ErrorCode == "login_required":
		return &providers.Error{Fault: providers.Revoked, Code: e.ErrorCode}
	default:
		return nil
	}
}

// rank orders faults where several numbers come at once: what may pass counts
// before what is ours to mend, and that before what would disconnect an owner.
var rank = map[providers.Fault]int{
	providers.Throttled: 5, providers.Transient: 4, providers.Operator: 3, providers.AwaitingAdmin: 2, providers.Revoked: 1,
}

// faultOf returns the fault that the numbers amount to, and the number that
// decided; zero if none is known.
func faultOf(numbers []int) (fault providers.Fault, decided int) {
	best := -1
	for _, n := range numbers {
		f, known := refused[n]
		weight := rank[f]
		if n == vague {
			weight = 0
		}
		if known && weight > best {
			best, fault, decided = weight, f, n
		}
	}
	return fault, decided
}

const codePrefix = "aadsts_"

func codeOf(n int) string { return codePrefix + strconv.Itoa(n) }

var aadsts = regexp.MustCompile(`AADSTS([0-9]{4,8})\b`)

// numbersIn finds the numbers in a description.
func numbersIn(text string) []int {
	var numbers []int
	for _, match := range aadsts.FindAllStringSubmatch(text, 8) {
		if n, err := strconv.Atoi(match[1]); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}
