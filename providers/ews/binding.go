package ews

import (
	"crypto/md5" //nolint:gosec // what MS-NLMP has
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
)

// bind adds the channel's binding to a CHALLENGE message (MS-NLMP §2.2.1.2), so
// that the answer to it, which repeats what the server tells of itself, holds it
// too. Extended Protection refuses answers without one. Over plain http, or to a
// server that tells nothing, there is nothing to bind.
func bind(message []byte, channel *tls.ConnectionState) []byte {
	const (
		infoLength, infoOffset = 40, 44 // of TargetInfo, in the message
		avEnd, avBindings      = 0, 10  // MsvAvEOL, MsvAvChannelBindings
	)
	if channel == nil || len(channel.PeerCertificates) == 0 || len(message) < infoOffset+4 {
		return message
	}
	length := int(binary.LittleEndian.Uint16(message[infoLength:]))
	offset := int(binary.LittleEndian.Uint32(message[infoOffset:]))
	if length < 4 || offset+length > len(message) {
		return message
	}
	info := message[offset : offset+length]
	bound := make([]byte, 0, length+20)
	for len(info) >= 4 && binary.LittleEndian.Uint16(info) != avEnd {
		size := 4 + int(binary.LittleEndian.Uint16(info[2:]))
		if size > len(info) {
			return message
		}
		if binary.LittleEndian.Uint16(info) != avBindings {
			bound = append(bound, info[:size]...)
		}
		info = info[size:]
	}
	token := bindings(channel.PeerCertificates[0])
	bound = binary.LittleEndian.AppendUint16(bound, avBindings)
	bound = binary.LittleEndian.AppendUint16(bound, uint16(len(token)))
	bound = append(bound, token[:]...)
	bound = append(bound, 0, 0, 0, 0) // MsvAvEOL

	out := append([]byte(nil), message...)
	binary.LittleEndian.PutUint16(out[infoLength:], uint16(len(bound)))
	binary.LittleEndian.PutUint16(out[infoLength+2:], uint16(len(bound)))
	binary.LittleEndian.PutUint32(out[infoOffset:], uint32(len(out)))
	return append(out, bound...)
}

// bindings is the MD5 of a gss_channel_bindings_struct (RFC 2744 §3.11) without
// addresses, whose data is the tls-server-end-point of RFC 5929 §4.
func bindings(server *x509.Certificate) [md5.Size]byte {
	data := append([]byte("tls-server-end-point:"), endPoint(server)...)
	packed := make([]byte, 16, 20+len(data))
	packed = binary.LittleEndian.AppendUint32(packed, uint32(len(data)))
	return md5.Sum(append(packed, data...)) //nolint:gosec // what MS-NLMP has
}

// endPoint hashes the certificate as its signature does, and with SHA-256 where
// that would be something weaker.
func endPoint(server *x509.Certificate) []byte {
	switch server.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		sum := sha512.Sum384(server.Raw)
		return sum[:]
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		sum := sha512.Sum512(server.Raw)
		return sum[:]
	default:
		sum := sha256.Sum256(server.Raw)
		return sum[:]
	}
}
