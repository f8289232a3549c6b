package metadata

import (
	"testing"

	"iod/scale"
)

// wire writes metadata for tests, well-formed or not.
type wire []byte

func (w wire) n(vs ...uint64) wire {
	for _, v := range vs {
		w = scale.AppendCompact(w, v)
	}
	return w
}
func (w wire) u8(vs ...byte) wire { return append(w, vs...) }
func (w wire) str(s string) wire  { return scale.AppendStr(w, s) }
func (w wire) add(more wire) wire { return append(w, more...) }
func (w wire) list(xs []wire) wire {
	w = w.n(uint64(len(xs)))
	for _, x := range xs {
		w = w.add(x)
	}
	return w
}

// path writes the path and no parameters of a type.
func path(names ...string) wire {
	w := wire{}.n(uint64(len(names)))
	for _, s := range names {
		w = w.str(s)
	}
	return w.n(0)
}

func prim(k byte) wire            { return path().u8(defPrimitive, k).n(0) }
func seq(id uint64) wire          { return path().u8(defSequence).n(id, 0) }
func compact(id uint64) wire      { return path().u8(defCompact).n(id, 0) }
func bitseq(store, o uint64) wire { return path().u8(defBits).n(store, o, 0) }
func tuple(ids ...uint64) wire    { return path().u8(defTuple).n(uint64(len(ids))).n(ids...).n(0) }
func array(n uint32, id uint64) wire {
	return append(wire(scale.AppendU32(path().u8(defArray), n)).n(id), 0)
}

// fld writes a field; no name makes it positional.
func fld(name string, id uint64) wire {
	w := wire{0}
	if name != "" {
		w = wire{1}.str(name)
	}
	return w.n(id).u8(0, 0)
}

func composite(name string, fs ...wire) wire { return path(name).u8(defComposite).list(fs).n(0) }

func enum(name string, vs ...wire) wire { return path(name).u8(defVariant).list(vs).n(0) }

func vrt(name string, index byte, fs ...wire) wire { return wire{}.str(name).list(fs).u8(index, 0) }

// metadata puts types and the rest of V14 metadata together, without pallets.
func metadata14(types ...wire) []byte {
	return withTypes(14, types...).n(0).n(0).u8(4).n(0).n(0)
}

func withTypes(version byte, types ...wire) wire {
	w := wire(magic).u8(version).n(uint64(len(types)))
	for i, x := range types {
		w = w.n(uint64(i)).add(x)
	}
	return w
}

func parsed(t testing.TB, types ...wire) *Metadata {
	t.Helper()
	m, err := Parse(metadata14(types...))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// metadata16 is a small runtime in the form of V16, with every kind of deprecation note.
func metadata16() []byte {
	note := wire{2}.str("old").u8(1).str("1.0")
	types := []wire{
		prim(3), array(32, 0), tuple(), // 0 u8, 1 [u8; 32], 2 ()
		enum("Call", vrt("ping", 0, fld("n", 0)), vrt("pong", 7)), // 3
		enum("RuntimeCall", vrt("Game", 9, fld("", 3))),           // 4
		enum("Error", vrt("Lost", 1)),                             // 5
		prim(5),                                                   // 6 u32
	}
	entry := wire{}.str("Score").u8(1, 1).n(1).u8(byte(HashTwox64Concat)).n(6, 0).n(1).u8(5).n(0).u8(1)
	pallet := wire{}.str("Game").u8(1).str("Arena").list([]wire{entry}).
		u8(1).n(3).n(1).u8(7).add(note).                                             // calls
		u8(0).                                                                       // no events
		n(1).str("Limit").n(6).n(4).u8(9, 0, 0, 0).n(0).add(note).                   // constants
		u8(1).n(5).n(1).u8(1, 1).                                                    // errors
		n(1).str("Currency").n(2).n(0).                                              // associated types
		n(1).add(make(wire, 32)).str("view").n(1).str("x").n(6).n(0).n(0).add(note). // view functions
		u8(9).n(1).str(" A game.").u8(0)
	api := wire{}.str("GameApi").n(1).str("score").n(1).str("who").n(1).n(6).n(0).u8(0).n(0).n(3).add(note)
	return withTypes(16, types...).list([]wire{pallet}).
		n(2).u8(4, 5).n(1, 4, 2).                              // versions, address, call, signature
		n(2).u8(0).n(1, 1).u8(1).n(2, 0, 1).                   // extensions by version
		n(2).str("First").n(2, 2).str("CheckNonce").n(6).n(2). // extensions
		list([]wire{api}).n(4, 2, 5).n(1).str("key").n(0).n(1).u8(1)
}
