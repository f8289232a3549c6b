package devchain_test

import (
	"encoding/json"
	"slices"
	"testing"

	"iod/devchain"
	"iod/devchain/devchaintest"
	"iod/interop"
)

// TestPolkadotJS lets the polkadot.js API use the chain as any other; the script asserts most itself.
func TestPolkadotJS(t *testing.T) {
	url, _ := devchaintest.Start(t, devchain.Options{FinalityLag: 1})
	var seen struct {
		Chain           string
		MetadataVersion int
		Schemes         map[string][]string
		RuntimeApis     []string
		Error           string
		Fee             struct{ Estimated, Paid, Tip string }
		Events          []string
		Balances        []string
		OverHTTP        string
	}
	if err := json.Unmarshal(interop.Node(t, "devchain.mjs", url), &seen); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"sr25519", "ed25519", "ecdsa"} {
		if got := seen.Schemes[scheme]; !slices.Equal(got, []string{"Ready", "InBlock", "Finalized"}) {
			t.Errorf("%s: transaction went through %v", scheme, got)
		}
	}
	if seen.Error != "peaqRbac.EntityAlreadyExist" {
		t.Errorf("error is %s", seen.Error)
	}
	for _, event := range []string{"peaqDid.AttributeAdded", "peaqRbac.UserAssignedToGroup", "utility.BatchCompleted",
		"system.ExtrinsicFailed", "system.CodeUpdated", "balances.Withdraw"} {
		if !slices.Contains(seen.Events, event) {
			t.Errorf("subscription did not see %s", event)
		}
	}
	if len(seen.Balances) != 5 || seen.Balances[4] != "1000000000000000003000001" || seen.OverHTTP != seen.Balances[4] {
		t.Errorf("balances seen: %v, over HTTP %s", seen.Balances, seen.OverHTTP)
	}
	if seen.Fee.Tip != "7" || len(seen.Fee.Estimated) != 11 || len(seen.Fee.Paid) != 11 {
		t.Errorf("fees: %+v", seen.Fee)
	}
	t.Logf("%s, metadata V%d, runtime APIs %v", seen.Chain, seen.MetadataVersion, seen.RuntimeApis)
}
