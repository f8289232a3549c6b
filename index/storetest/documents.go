package storetest

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"iod/document"
	"iod/key"
)

// Account returns the key pair of a name. Its signatures are deterministic (ed25519).
func Account(t testing.TB, name string) *key.Pair {
	t.Helper()
	p, err := key.FromURI(key.Ed25519, "//"+name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Weather is a device with two streams.
func Weather(p *key.Pair, sequence uint64) document.Device {
	return document.Device{
		Account: p.Account(), Node: p.NodeKey().ID(), DataType: "weather", Location: "40.1949288,44.5517725",
		PriceAccess: "42.03995", PricePin: "445.12222", Topics: []string{"measurements/#"}, Sequence: sequence,
		Streams: []document.Stream{
			{Name: "wind", Kind: "mqtt", DataType: "wind_speed", Unit: "m/s", Topics: []string{"measurements/wind"}, Price: "42.03995", Period: "30d"},
			{Name: "camera", Kind: "rtsp", DataType: "video", Price: "900", Period: "30d"},
		},
		Additional: []document.Additional{document.NewAdditional("microcontroller", "stm32")},
	}
}

// Sign encodes and signs a device's document.
func Sign(t testing.TB, p *key.Pair, d document.Device) []byte {
	t.Helper()
	raw, err := d.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Services is an unsigned document with services of type → data, in the wire form of version 1.
func Services(a key.AccountID, services ...[2]string) []byte {
	did := a.DID()
	b := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), did)
	b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), did)
	for _, s := range services {
		m := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), did+"#"+s[0])
		m = protowire.AppendString(protowire.AppendTag(m, 2, protowire.BytesType), s[0])
		m = protowire.AppendString(protowire.AppendTag(m, 4, protowire.BytesType), s[1])
		b = protowire.AppendBytes(protowire.AppendTag(b, 5, protowire.BytesType), m)
	}
	return b
}

// Unsigned is a document of version 1 as the existing marketplace writes it, without a signature.
func Unsigned(a key.AccountID, dataType, price string) []byte {
	return Services(a, [2]string{"staex_iod_version", "v1"}, [2]string{"data_type", dataType}, [2]string{"location", "52.5,13.4"},
		[2]string{"price_access", price}, [2]string{"price_pin", "1"}, [2]string{"mqtt_topic", "measurements"})
}

// Name numbers accounts.
func Name(i int) string { return fmt.Sprintf("device-%d", i) }
