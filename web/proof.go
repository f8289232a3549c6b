package web

import (
	"fmt"
	"math"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// steps judges a listing's document once more, from its bytes, and tells what was found step by step.
func steps(l *index.Listing, now time.Time) []stepOf {
	d, v, err := document.ReadDevice(l.Account, document.DeviceAttribute, l.Raw)
	if err != nil {
		return []stepOf{{"none", "The bytes", "This server could not read the document again: " + err.Error()}}
	}
	out := []stepOf{{"good", "It speaks for this DID", "The document was found under the DID of this device and names no other."}}
	switch v.State {
	case document.Verified:
		out = append(out, stepOf{"good", "The device's key signed it", fmt.Sprintf("The signature by %s holds over the %s of the document, byte for byte. Checked again just now.", short(l.Account.String()), bytesOf(int64(len(l.Raw))))})
	case document.Unverified:
		out = append(out, stepOf{"none", "Nobody signed it", "It is a document of the older marketplace's form, without a signature. It is believed only because the event on the chain says that the device's own account sent it."})
	default:
		out = append(out, stepOf{"none", "Its signature does not hold", v.Reason})
	}
	if v.State == document.Verified {
		out = append(out, stepOf{"good", "It is the newest that was ever signed", fmt.Sprintf("Its sequence is %d: %s. Older ones that somebody sends again are set aside.", d.Sequence, ago(time.UnixMilli(int64(min(d.Sequence, math.MaxInt64))), now))})
	}
	switch {
	case d.Owner == nil && v.State == document.Verified:
		out = append(out, stepOf{"good", "The device is its own owner", "The document names no other account, so the device decides on access."})
	case d.Owner == nil:
	case v.Vouched:
		out = append(out, stepOf{"good", "The owner vouches for it", fmt.Sprintf("%s signed this device's DID: owner and device name each other.", short(d.Owner.String()))})
	default:
		out = append(out, stepOf{"fair", "The owner has not vouched", fmt.Sprintf("It names %s, whose signature over this DID is missing or does not hold. Anyone can name anyone; so no owner is shown.", short(d.Owner.String()))})
	}
	if v.State == document.Verified && d.Node != (key.NodeID{}) && len(d.Streams) > 0 {
		out = append(out, stepOf{"good", "Its node key is part of what is signed", "Whoever connects reaches the node " + d.Node.String()[:12] + "… and no other, past relays that see ciphertext only."})
	}
	return out
}

func cosine(lat float64) float64 { return math.Cos(lat * math.Pi / 180) }
