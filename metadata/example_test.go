package metadata_test

import (
	"fmt"
	"log"
	"os"

	"iod/metadata"
)

// open reads the metadata of peaq's runtime from a file; a program asks a node for it.
func open() *metadata.Metadata {
	b, err := os.ReadFile("../../shared/peaq/metadata-v14.scale")
	if err != nil {
		log.Fatal(err)
	}
	m, err := metadata.Parse(b)
	if err != nil {
		log.Fatal(err)
	}
	return m
}

func ExampleMetadata_EncodeCall() {
	m := open()
	b, err := m.EncodeCall(metadata.Call{Pallet: "System", Name: "remark_with_event", Args: metadata.Fields{{Name: "remark", Value: "hello"}}})
	fmt.Printf("%x %v\n", b, err)
	_, err = m.EncodeCall(metadata.Call{Pallet: "System", Name: "remark_with_evnt"})
	fmt.Println(err)
	// Output:
	// 00081468656c6c6f <nil>
	// metadata: pallet System has no call "remark_with_evnt"; did you mean "remark_with_event"?
}

func ExampleMetadata_StorageKey() {
	m := open()
	whole, _ := m.StorageKey("System", "Account", make([]byte, 32))
	prefix, _ := m.StorageKey("System", "Account")
	fmt.Printf("%d bytes, the entry's %x\n", len(whole), prefix)
	// Output: 80 bytes, the entry's 26aa394eea5630e07c48ae0c9558cef7b99d880ec681799c0cf30e8886371da9
}

func ExampleAssign() {
	m := open()
	raw := []byte{4, 'x', 8, 1, 2, 0xff, 0xff, 0xff, 0xff, 0x10, 0x27, 0, 0, 0, 0, 0, 0}
	v, err := m.DecodeStorage("PeaqDid", "AttributeStore", raw)
	if err != nil {
		log.Fatal(err)
	}
	var attribute struct {
		Name    string
		Value   []byte
		Until   uint32 `scale:"validity"`
		Created uint64 // milliseconds
	}
	if err := metadata.Assign(&attribute, v); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", attribute)
	// Output: {Name:x Value:[1 2] Until:4294967295 Created:10000}
}

func ExampleMetadata_ModuleError() {
	e, err := open().ModuleError(100, 1)
	fmt.Println(e.Pallet, e.Name, err)
	// Output: PeaqDid AttributeAlreadyExist <nil>
}
