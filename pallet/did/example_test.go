package did_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"iod/chain"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
)

// A call is made of plain values; the runtime's metadata gives it its bytes.
func ExampleAddAttribute() {
	raw, err := os.ReadFile("../../../shared/peaq/metadata-v14.scale")
	if err != nil {
		log.Fatal(err)
	}
	m, err := metadata.Parse(raw)
	if err != nil {
		log.Fatal(err)
	}
	alice, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		log.Fatal(err)
	}
	week := uint32(7 * 24 * 600) // blocks of six seconds
	b, err := m.EncodeCall(did.AddAttribute(alice.Account(), "colour", []byte("green"), &week))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%x…%x\n", b[:6], b[len(b)-11:])
	// Output: 6400d43593c7…14677265656e01c0890100
}

// Attributes are read as of a block, and the reader has to expire them.
func ExampleRead() {
	read := func(ctx context.Context, c *chain.Client, account key.AccountID) error {
		b, err := c.Finalised(ctx)
		if err != nil {
			return err
		}
		a, err := did.Read(ctx, b, account, "colour")
		switch {
		case err != nil:
			return err
		case a == nil || a.Expired(b.Number):
			fmt.Println("no colour")
		default:
			fmt.Printf("%s since %s\n", a.Value, a.Created)
		}
		return nil
	}
	_ = read
}
