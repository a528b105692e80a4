package ewsfake

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // what MS-NLMP has
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"unicode/utf16"
)

// connection is what NTLM authenticates.
type connection struct {
	challenge     []byte
	authenticated bool
}

type connectionKey struct{}

// ConnContext gives each connection of an [http.Server] a state of its own.
func ConnContext(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, &connection{})
}

func connectionOf(r *http.Request) *connection {
	c, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		panic("ewsfake: the http.Server needs ewsfake.ConnContext")
	}
	return c
}

// authenticate reports whether the request may pass; if not it has answered.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) bool {
	c := connectionOf(r)
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case scheme == "" && c.authenticated:
		return true
	case scheme == "Basic" && s.offers("Basic"):
		username, password, _ := r.BasicAuth()
		if username == Username && password == Password {
			return true
		}
	case scheme == "Bearer" && s.Token != "":
		if token == s.Token {
			return true
		}
	case (scheme == "NTLM" || scheme == "Negotiate") && s.offers(scheme):
		raw, err := base64.StdEncoding.DecodeString(token)
		if err == nil && s.negotiate(w, c, scheme, raw) {
			return true
		}
		if w.Header().Get("WWW-Authenticate") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return false
		}
	}
	c.authenticated = false
	for _, offer := range s.Schemes {
		if offer == "Basic" {
			offer = `Basic realm="mail.corp.test"`
		}
		w.Header().Add("WWW-Authenticate", offer)
	}
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

func (s *Server) offers(scheme string) bool {
	for _, offered := range s.Schemes {
		if offered == scheme {
			return true
		}
	}
	return false
}

// negotiate takes a step of the handshake (MS-NLMP §3.2.5).
func (s *Server) negotiate(w http.ResponseWriter, c *connection, scheme string, raw []byte) bool {
	if len(raw) < 12 || string(raw[:8]) != "NTLMSSP\x00" {
		return false
	}
	switch binary.LittleEndian.Uint32(raw[8:]) {
	case 1:
		s.challenge(w, c, scheme)
		return false
	case 3:
		if s.Loop {
			s.challenge(w, c, scheme)
			return false
		}
		c.authenticated = c.challenge != nil && s.proves(c.challenge, raw)
		c.challenge = nil // it is good for one answer
		return c.authenticated
	default:
		return false
	}
}

func (s *Server) challenge(w http.ResponseWriter, c *connection, scheme string) {
	s.mu.Lock()
	s.serial++
	c.challenge = binary.LittleEndian.AppendUint64(nil, uint64(s.serial)*0x9e3779b97f4a7c15)
	s.mu.Unlock()
	c.authenticated = false
	w.Header().Set("WWW-Authenticate", scheme+" "+base64.StdEncoding.EncodeToString(challengeMessage(c.challenge)))
}

// challengeMessage is a CHALLENGE_MESSAGE (MS-NLMP §2.2.1.2): Unicode, NTLM,
// target information, extended session security.
func challengeMessage(challenge []byte) []byte {
	target := unicode16("CORP")
	var info []byte
	for id, value := range []string{1: "MAIL", 2: "CORP", 3: Host, 4: Domain} {
		if value != "" {
			info = binary.LittleEndian.AppendUint16(info, uint16(id))
			info = binary.LittleEndian.AppendUint16(info, uint16(2*len(value)))
			info = append(info, unicode16(value)...)
		}
	}
	info = append(info, 7, 0, 8, 0, 0, 0x80, 0x3e, 0xd5, 0xde, 0xb1, 0x9d, 1) // MsvAvTimestamp
	info = append(info, 0, 0, 0, 0)

	const header = 56
	m := append([]byte("NTLMSSP\x00"), 2, 0, 0, 0)
	m = field(m, len(target), header)
	m = binary.LittleEndian.AppendUint32(m, 0x00000001|0x00000200|0x00080000|0x00800000|0x00010000)
	m = append(m, challenge...)
	m = append(m, make([]byte, 8)...)
	m = field(m, len(info), header+len(target))
	m = append(m, 10, 0, 0x61, 0x4a, 0, 0, 0, 15) // version
	m = append(m, target...)
	return append(m, info...)
}

func field(m []byte, length, offset int) []byte {
	m = binary.LittleEndian.AppendUint16(m, uint16(length))
	m = binary.LittleEndian.AppendUint16(m, uint16(length))
	return binary.LittleEndian.AppendUint32(m, uint32(offset))
}

// hashOfPassword is NTOWFv1 of Password (MS-NLMP §3.3.1), as OpenSSL has it.
const hashOfPassword = "836a7c68fd41e90bddf2c74022c58955"

// proves checks an AUTHENTICATE_MESSAGE: NTLMv2 (MS-NLMP §3.3.2), the user, and
// the channel's binding where that is demanded.
func (s *Server) proves(challenge, m []byte) bool {
	response, okR := payload(m, 20)
	domain, okD := payload(m, 28)
	user, okU := payload(m, 36)
	if !okR || !okD || !okU || len(response) < 44 {
		return false
	}
	name := text16(user)
	if !strings.EqualFold(name, Username) && (!strings.EqualFold(name, "ana") || !strings.EqualFold(text16(domain), "CORP")) {
		return false
	}
	hash, err := hex.DecodeString(hashOfPassword)
	if err != nil {
		panic(err)
	}
	key := mac(hash, unicode16(strings.ToUpper(name)), domain)
	proof, temp := response[:16], response[16:]
	if subtle.ConstantTimeCompare(proof, mac(key, challenge, temp)) != 1 {
		return false
	}
	return s.Binding == nil || bytes.Equal(pair(temp[28:], 10), s.Binding)
}

// BindingOf is what an answer over TLS holds of the channel (MS-NLMP §3.1.5.1.2),
// where the certificate was signed with SHA-256.
func BindingOf(server *x509.Certificate) []byte {
	end := sha256.Sum256(server.Raw)
	data := append([]byte("tls-server-end-point:"), end[:]...)
	packed := append(make([]byte, 16), byte(len(data)), 0, 0, 0)
	sum := md5.Sum(append(packed, data...)) //nolint:gosec // what MS-NLMP has
	return sum[:]
}

func payload(m []byte, at int) ([]byte, bool) {
	if len(m) < at+8 {
		return nil, false
	}
	length, offset := int(binary.LittleEndian.Uint16(m[at:])), int(binary.LittleEndian.Uint32(m[at+4:]))
	if offset+length > len(m) {
		return nil, false
	}
	return m[offset : offset+length], true
}

// pair finds an AV_PAIR.
func pair(pairs []byte, id uint16) []byte {
	for len(pairs) >= 4 {
		length := int(binary.LittleEndian.Uint16(pairs[2:]))
		if len(pairs) < 4+length {
			return nil
		}
		switch binary.LittleEndian.Uint16(pairs) {
		case id:
			return pairs[4 : 4+length]
		case 0:
			return nil
		}
		pairs = pairs[4+length:]
	}
	return nil
}

func mac(key []byte, data ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, d := range data {
		h.Write(d)
	}
	return h.Sum(nil)
}

func unicode16(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func text16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
