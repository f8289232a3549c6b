// Package pack keeps documents small in databases: they repeat their DID in every field, and have field names and addresses of services in
// common. A packed document is a byte that says how, and what follows:
//
//	0  the bytes themselves
//	1  deflate (RFC 1951) with the preset dictionary documents.dict, which is part of the form and never changes
package pack

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	packedPlain   = 0
	packedDeflate = 1
)

// dictionary has an example of each kind of field.
//
//go:embed documents.dict
var dictionary []byte

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriterDict(io.Discard, flate.DefaultCompression, dictionary)
	if err != nil {
		panic(err) // the level is wrong: it is a constant
	}
	return w
}}

// maxPacked bounds what a packed document unpacks to, in bytes: more than an index takes in.
const maxPacked = 1 << 20

// Pack makes a document's bytes smaller where that can be done. Documents repeat their DID in every field.
func Pack(raw []byte) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte(packedDeflate)
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(&b)
	if _, err := w.Write(raw); err != nil {
		return nil, fmt.Errorf("pack a document: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack a document: %w", err)
	}
	if b.Len() > len(raw) || len(raw) > maxPacked {
		return append([]byte{packedPlain}, raw...), nil
	}
	return b.Bytes(), nil
}

// errPacked is the error of what Pack never made.
var errPacked = errors.New("a document is packed in a way that this program does not know")

var inflaters = sync.Pool{New: func() any { return flate.NewReaderDict(bytes.NewReader(nil), dictionary) }}

// Unpack is the inverse of Pack. What it returns is the caller's.
func Unpack(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errPacked
	}
	switch kind, b := b[0], b[1:]; kind {
	case packedPlain:
		return bytes.Clone(b), nil
	case packedDeflate:
		r := inflaters.Get().(io.ReadCloser)
		defer inflaters.Put(r)
		if err := r.(flate.Resetter).Reset(bytes.NewReader(b), dictionary); err != nil {
			return nil, fmt.Errorf("unpack a document: %w", err)
		}
		raw, err := io.ReadAll(io.LimitReader(r, maxPacked))
		if err != nil {
			return nil, fmt.Errorf("unpack a document: %w", err)
		}
		return raw, nil
	}
	return nil, errPacked
}
