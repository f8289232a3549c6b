package rpc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// certificate makes one for a host that is valid in the given years.
func certificate(t *testing.T, host string, from, to int) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, NotBefore: year(from), NotAfter: year(to),
		DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k}, pool
}

// TestCertificateIsJudgedByMoment: the time comes from Moment, and everything else about the certificate still counts.
func TestCertificateIsJudgedByMoment(t *testing.T) {
	answer := func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":"0x"}`)
	} //nolint:errcheck // the client tells
	at := func(year int) func(a, b time.Time) time.Time {
		return func(a, b time.Time) time.Time { return time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC) }
	}
	mine, pool := certificate(t, "localhost", 2040, 2042)
	_, others := certificate(t, "localhost", 2040, 2042)
	strange, strangePool := certificate(t, "elsewhere.example", 2040, 2042)
	for name, c := range map[string]struct {
		cert   tls.Certificate
		moment func(a, b time.Time) time.Time
		roots  *x509.CertPool
		ok     bool
	}{
		"in time":            {mine, at(2041), pool, true},
		"too early":          {mine, at(2026), pool, false},
		"too late":           {mine, at(2043), pool, false},
		"the validity's own": {mine, func(a, _ time.Time) time.Time { return a }, pool, true},
		"another authority":  {mine, at(2041), others, false},
		"another host":       {strange, at(2041), strangePool, false},
		"by the local clock": {mine, nil, pool, false},
	} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(answer))
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{c.cert}}
		srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
		srv.StartTLS()
		conn, err := Dial(t.Context(), strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), Options{Moment: c.moment, Roots: c.roots, Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		err = conn.Call(t.Context(), nil, "x")
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if wrong := new(x509.CertificateInvalidError); strings.HasPrefix(name, "too") && !(errors.As(err, wrong) && wrong.Reason == x509.Expired) {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
		srv.Close()
	}
}
