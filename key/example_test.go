package key_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"iod/key"
)

func ExampleFromURI() {
	p, err := key.FromURI(key.Sr25519, "//Alice//stash")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Account())
	fmt.Println(p.Account().SS58(0))
	fmt.Println(p.Account().DID())

	_, err = key.FromURI(key.Ed25519, "//Alice/soft")
	fmt.Println(errors.Is(err, key.ErrSoft), err)
	// Output:
	// 5GNJqTPyNqANBkUVMN1LPPrxXnFouWXoe2wNSmmEoLctxiZY
	// 15Jbynf3EcRqdHV1K14LXYh7PQFTbp5wiXfrc4kbMReR9KxA
	// did:peaq:5GNJqTPyNqANBkUVMN1LPPrxXnFouWXoe2wNSmmEoLctxiZY
	// true secret URI: soft junctions exist for sr25519 only; write // instead of /
}

func ExamplePair_Sign() {
	p, err := key.FromURI(key.Ecdsa, "//Alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	sig, err := p.Sign([]byte("message"))
	if err != nil {
		fmt.Println(err)
		return
	}
	// Who knows the account only can check it too, in every scheme.
	fmt.Println(p.Public().Verify([]byte("message"), sig), p.Account().Verify([]byte("message"), sig))
	fmt.Println(p.Account().Verify([]byte("another"), sig))
	// Output:
	// true true
	// false
}

func ExamplePair_NodeKey() {
	p, err := key.FromURI(key.Sr25519, "//Alice")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.NodeKey().ID())
	// A secret prints as what everyone may know.
	fmt.Printf("%v %+v %x\n", p, *p, p.NodeKey())
	// Output:
	// 4bp48qvn6a771sr6qww2jmdxt6d2yyn4k78h4p0kkr4rjnt0sb50
	// 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY 4bp48qvn6a771sr6qww2jmdxt6d2yyn4k78h4p0kkr4rjnt0sb50
}

func ExampleParseAccount() {
	for _, s := range []string{
		"15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
		"0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d",
		"did:peaq:5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
		"5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ",
	} {
		a, err := key.ParseAccount(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(a)
	}
	// Output:
	// 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
	// 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
	// 5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY
	// address "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ": wrong checksum (is a character mistyped?)
}

func ExampleSave() {
	dir, err := os.MkdirTemp("", "key")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "device.key")

	p, phrase, err := key.GenerateFile(path, key.Sr25519, "a passphrase", key.Meta{Name: "device"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = phrase // show it once, to be written down

	q, err := key.Load(path, key.Sr25519, func() (string, error) { return "a passphrase", nil })
	fmt.Println(err, q.Account() == p.Account())
	fmt.Println(errors.Is(key.Save(path, p, "", key.Meta{}), fs.ErrExist))
	// Output:
	// <nil> true
	// true
}
