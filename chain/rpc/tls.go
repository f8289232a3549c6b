package rpc

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// tls returns the configuration of connections to a host; nil stands for the usual one. With Moment the certificate is checked as
// crypto/tls does it, but for the time.
func (o Options) tls(host string) *tls.Config {
	if o.Moment == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection verifies instead
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("node shows no certificate")
			}
			leaf := s.PeerCertificates[0]
			v := x509.VerifyOptions{
				DNSName: cmp.Or(s.ServerName, host), CurrentTime: o.Moment(leaf.NotBefore, leaf.NotAfter), Intermediates: x509.NewCertPool(), Roots: o.Roots,
			}
			for _, c := range s.PeerCertificates[1:] {
				v.Intermediates.AddCert(c)
			}
			_, err := leaf.Verify(v)
			return err
		},
	}
}
