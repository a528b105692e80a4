package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// Codes of the [providers.Error] that a transport returns. All are Transient:
// no failure of the network disconnects anybody.
const (
	CodeDNS       = "dns"             // the host's name does not resolve
	CodeRefused   = "refused"         // nothing listens there
	CodeTimeout   = "timeout"         // the server is too slow
	CodeTLS       = "tls"             // no trusted, encrypted connection
	CodeTooLarge  = "too_large"       // the body exceeds the cap
	CodeBlocked   = "blocked_address" // the address is not public and not allowed
	CodeScheme    = "scheme"          // neither https nor http
	CodeTruncated = "truncated"       // the connection broke within the body
	CodeNetwork   = "network"         // anything else below HTTP
)

// The causes are fixed sentences: the errors of package net name hosts, which
// can be as personal as a user name.
var (
	errDNS       = errors.New("the server's name cannot be resolved")
	errRefused   = errors.New("the server refuses connections")
	errTimeout   = errors.New("the server did not answer in time")
	errTLS       = errors.New("no encrypted connection that can be trusted")
	errTooLarge  = errors.New("the answer is larger than allowed")
	errBlocked   = errors.New("the server's address is not public, and the operator has not allowed it")
	errScheme    = errors.New("the address must begin with https://")
	errTruncated = errors.New("the connection broke within the answer")
	errNetwork   = errors.New("the connection failed")
)

// classify turns an error of net/http into one that names its kind and nothing
// else. A caller who gave up gets the error of its context.
func classify(caller context.Context, err error) error {
	if gaveUp := caller.Err(); gaveUp != nil {
		return gaveUp
	}
	if known := (*providers.Error)(nil); errors.As(err, &known) {
		return known
	}
	code, cause := kindOf(err)
	return &providers.Error{Code: code, Err: cause}
}

func kindOf(err error) (string, error) {
	var (
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.As(err, &dns):
		return CodeDNS, errDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return CodeRefused, errRefused
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return CodeTimeout, errTimeout
	case isTLS(err):
		return CodeTLS, errTLS
	case errors.Is(err, io.ErrUnexpectedEOF):
		return CodeTruncated, errTruncated
	default:
		return CodeNetwork, errNetwork
	}
}

func isTLS(err error) bool {
	var (
		record    tls.RecordHeaderError
		verify    *tls.CertificateVerificationError
		alert     tls.AlertError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	return errors.Is(err, http.ErrSchemeMismatch) ||
		errors.As(err, &record) || errors.As(err, &verify) || errors.As(err, &alert) ||
		errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

func codeOf(err error) string {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return "canceled"
	}
	return providers.CodeOf(err)
}

// Explain says what is wrong with an address that somebody typed, where that is
// what the failure to reach it means; else it is nil.
func Explain(err error) error {
	switch providers.CodeOf(err) {
	case CodeDNS:
		return busy.Invalid("url", "names a server that does not exist: check the spelling of the host")
	case CodeRefused:
		return busy.Invalid("url", "names a server that accepts no connections: check the host and the port")
	case CodeTLS:
		return busy.Invalid("url", "names a server without a trusted certificate: the certificate must be valid, be issued for this host by a public authority, and be sent with its intermediates")
	default:
		return nil
	}
}
