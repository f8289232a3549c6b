package devchain

import (
	"encoding/json"

	"iod/scale"
)

// update is what happened: new blocks, of which the last is the head after old, and blocks that became final.
type update struct {
	old       *block
	imported  []*block
	finalised []*block
}

// topic is what a subscription is about; tell is called with the chain's lock held and must not wait.
type topic interface {
	tell(c *Chain, u update, send func(result any))
}

// hub knows the subscriptions; the chain's lock guards it.
type hub struct{ all map[*subscription]topic }

func newHub() *hub { return &hub{all: map[*subscription]topic{}} }

func (h *hub) publish(c *Chain, u update) {
	for s, t := range h.all {
		t.tell(c, u, s.send)
	}
}

// newHeads follows the head of the best chain, allHeads every block, finalHeads those that become final.
type (
	newHeads   struct{}
	allHeads   struct{}
	finalHeads struct{}
)

func (newHeads) tell(_ *Chain, u update, send func(any)) {
	if n := len(u.imported); n > 0 {
		send(u.imported[n-1].json())
	}
}

func (allHeads) tell(_ *Chain, u update, send func(any)) {
	for _, b := range u.imported {
		send(b.json())
	}
}

func (finalHeads) tell(_ *Chain, u update, send func(any)) {
	for _, b := range u.finalised {
		send(b.json())
	}
}

// storageTopic follows the values of keys on the best chain; no keys stand for all.
type storageTopic struct{ keys []string }

func (t storageTopic) tell(c *Chain, u update, send func(any)) {
	if len(u.imported) == 0 {
		return
	}
	head := u.imported[len(u.imported)-1]
	before, after := c.led.getter(u.old), c.led.getter(head)
	keys := t.keys
	if keys == nil {
		for b := range changedKeys(u) {
			keys = append(keys, b)
		}
	}
	var changes [][2]any
	for _, k := range keys {
		old, now := before(k), after(k)
		if (old == nil) != (now == nil) || string(old) != string(now) {
			changes = append(changes, [2]any{hexBytes([]byte(k)), hexOrNull(now)})
		}
	}
	if len(changes) > 0 {
		send(changeSet{hexHash(head.id), changes})
	}
}

// changedKeys are the keys that the new blocks, or those that they replaced, wrote.
func changedKeys(u update) map[string]bool {
	keys := map[string]bool{}
	add := func(b *block) {
		for _, x := range b.changes {
			keys[x.key] = true
		}
	}
	for _, b := range u.imported {
		add(b)
	}
	for b := u.old; b != nil && !b.best; b = b.parent {
		add(b)
	}
	return keys
}

// changeSet is a StorageChangeSet.
type changeSet struct {
	Block   string   `json:"block"`
	Changes [][2]any `json:"changes"`
}

func hexOrNull(b []byte) any {
	if b == nil {
		return nil
	}
	return hexBytes(b)
}

// versionTopic follows the runtime version on the best chain.
type versionTopic struct{}

func (versionTopic) tell(c *Chain, u update, send func(any)) {
	if len(u.imported) == 0 {
		return
	}
	head := u.imported[len(u.imported)-1]
	if now := c.runtimeAt(head); now != c.runtimeAt(u.old) {
		send(now.json())
	}
}

// runtimeAt returns the runtime after a block.
func (c *Chain) runtimeAt(b *block) runtime {
	rt, err := decodeRuntime(c.led.getter(b)(codeKey))
	if err != nil {
		return runtime{spec: 1, tx: 1}
	}
	return rt
}

// json is the header as chain_getHeader gives it.
func (b *block) json() json.RawMessage {
	logs := []string{}
	r := scale.NewReader(b.digest)
	for range r.Count(1) {
		start := r.Offset()
		if kind := r.U8(); kind == 6 {
			r.Bytes(4)
			r.Vec()
		}
		if r.Err() == nil {
			logs = append(logs, hexBytes(b.digest[start:r.Offset()]))
		}
	}
	out, err := json.Marshal(map[string]any{
		"parentHash": hexHash(b.parentHash), "number": hexNumber(uint64(b.number)), "stateRoot": hexHash(b.stateRoot),
		"extrinsicsRoot": hexHash(b.extrinsicsRoot), "digest": map[string]any{"logs": logs},
	})
	if err != nil {
		panic(err) // strings only
	}
	return out
}

// json is the RuntimeVersion as state_getRuntimeVersion gives it.
func (rt runtime) json() any {
	apis := [][2]any{}
	for _, a := range declareAPIs(rt) {
		id := apiID(a.name)
		apis = append(apis, [2]any{hexBytes(id[:]), a.version})
	}
	return map[string]any{"specName": specName, "implName": specName, "authoringVersion": 1, "specVersion": rt.spec,
		"implVersion": 1, "apis": apis, "transactionVersion": rt.tx, "stateVersion": 0}
}
