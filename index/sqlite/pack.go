package sqlite

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The first byte of a packed document.
const (
	packedPlain   = 0 // the bytes themselves follow
	packedDeflate = 1 // deflate with the dictionary of documents.dict
)

// dictionary is what documents have in common: an example of each kind of field. It is part of the schema.
//
//go:embed schema/documents.dict
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

// pack makes a document's bytes smaller where that can be done. Documents repeat their DID in every field.
func pack(raw []byte) ([]byte, error) {
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

var errPacked = errors.New("a document is packed in a way that this program does not know")

var inflaters = sync.Pool{New: func() any { return flate.NewReaderDict(bytes.NewReader(nil), dictionary) }}

// unpack is the inverse of pack.
func unpack(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errPacked
	}
	switch kind, b := b[0], b[1:]; kind {
	case packedPlain:
		return b, nil
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
