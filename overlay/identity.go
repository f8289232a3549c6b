package overlay

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"iod/key"
	"iod/overlay/wire"
)

// identity is a node key in the form that TLS wants.
type identity struct {
	id   key.NodeID
	cert tls.Certificate
}

// newIdentity makes the self-signed certificate of a node key. Only its public key is ever looked at.
func newIdentity(k key.NodeKey) (*identity, error) {
	priv := k.Private()
	tmpl := x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "iod"},
		NotBefore:    time.Unix(0, 0),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, priv.Public(), priv)
	if err != nil {
		return nil, fmt.Errorf("node certificate: %w", err)
	}
	return &identity{id: k.ID(), cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv}}, nil
}

// wrongKey says that the other end of a connection shows another node key than expected.
type wrongKey struct{ got, want key.NodeID }

func (e wrongKey) Error() string {
	return fmt.Sprintf("the node at the other end is %s, not %s", e.got, e.want)
}

// config returns the TLS configuration of one kind of connection. want is the only node id that is accepted; nil accepts all.
func (i *identity) config(alpn string, want *key.NodeID) *tls.Config {
	c := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{i.cert},
		NextProtos:             []string{alpn},
		ClientAuth:             tls.RequireAnyClientCert,
		InsecureSkipVerify:     true, // there are no authorities: VerifyConnection compares the key itself
		SessionTicketsDisabled: true, // no resumption, so every handshake proves the key; and fewer bytes
		VerifyConnection: func(s tls.ConnectionState) error {
			id, err := peerID(s)
			if err != nil {
				return err
			}
			if s.NegotiatedProtocol != alpn {
				return fmt.Errorf("the other end does not speak %s", alpn)
			}
			if want != nil && id != *want {
				return wrongKey{id, *want}
			}
			return nil
		},
	}
	if alpn == wire.ALPN {
		// Sessions take Go's default, which is safe against recording relays with quantum computers; links carry nothing that
		// deserves another 2 KB.
		c.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	return c
}

// peerID returns the node id that the other end proved.
func peerID(s tls.ConnectionState) (key.NodeID, error) {
	if len(s.PeerCertificates) != 1 {
		return key.NodeID{}, errors.New("the other end shows no node certificate")
	}
	pub, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || len(pub) != len(key.NodeID{}) || bytes.Equal(pub, make([]byte, len(pub))) {
		return key.NodeID{}, errors.New("the certificate of the other end holds no ed25519 key")
	}
	return key.NodeID(pub), nil
}

// dialNetwork is the default DialFunc. TCP keep-alive is off: every 15 s it would cost a metered link 77 KB an hour.
var dialNetwork = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: -1}).DialContext

// abort closes a connection so that the other end sees a reset at once instead of an orderly end.
func abort(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		t.SetLinger(0) //nolint:errcheck // the close below ends it either way
	}
	c.Close()
}

// sendPreamble claims a token on a fresh data connection.
func sendPreamble(c net.Conn, t wire.Token) error {
	_, err := c.Write(wire.Preamble(t))
	return err
}
