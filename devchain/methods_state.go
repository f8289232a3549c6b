package devchain

import (
	"strconv"
	"strings"

	"iod/metadata"
)

// The limits of reads.
const (
	maxKeysPage    = 1000
	maxQueryBlocks = 10_000
	maxQueryKeys   = 10_000
)

var stateMethods = map[string]handler{
	"state_getMetadata": func(r *request) (any, error) {
		return r.at(0, func(b *block) (any, error) { return hexBytes(r.chain.runtimeAt(b).metadata(14)), nil })
	},
	"state_getRuntimeVersion":         runtimeVersion,
	"chain_getRuntimeVersion":         runtimeVersion,
	"state_getStorage":                getStorage,
	"state_getStorageAt":              getStorage,
	"state_getStorageHash":            getStorageHash,
	"state_getStorageHashAt":          getStorageHash,
	"state_getStorageSize":            getStorageSize,
	"state_getStorageSizeAt":          getStorageSize,
	"state_getKeys":                   getKeys,
	"state_getKeysPaged":              getKeysPaged,
	"state_getKeysPagedAt":            getKeysPaged,
	"state_getPairs":                  getPairs,
	"state_queryStorage":              queryStorage,
	"state_queryStorageAt":            queryStorageAt,
	"state_call":                      stateCall,
	"state_callAt":                    stateCall,
	"state_getReadProof":              refuseProof,
	"state_subscribeStorage":          subscribeStorage,
	"state_unsubscribeStorage":        unsubscribe,
	"state_subscribeRuntimeVersion":   subscribeVersion,
	"state_unsubscribeRuntimeVersion": unsubscribe,
	"chain_subscribeRuntimeVersion":   subscribeVersion,
	"chain_unsubscribeRuntimeVersion": unsubscribe,
}

func refuseProof(*request) (any, error) {
	return nil, &rpcError{Code: 4003, Message: "Client error: a development chain has no state trie to prove from"}
}

func runtimeVersion(r *request) (any, error) {
	return r.at(0, func(b *block) (any, error) { return r.chain.runtimeAt(b).json(), nil })
}

// storage runs f on the value under the key in parameter 0 at the block in parameter 1; no value gives null.
func storage(r *request, f func(value []byte) any) (any, error) {
	k, err := r.bytes(0)
	if err != nil {
		return nil, err
	}
	return r.at(1, func(b *block) (any, error) {
		if v := r.chain.led.getter(b)(string(k)); v != nil {
			return f(v), nil
		}
		return nil, nil
	})
}

func getStorage(r *request) (any, error) {
	return storage(r, func(v []byte) any { return hexBytes(v) })
}

func getStorageHash(r *request) (any, error) {
	return storage(r, func(v []byte) any { return hexHash(metadata.Blake2_256(v)) })
}

func getStorageSize(r *request) (any, error) {
	return storage(r, func(v []byte) any { return len(v) })
}

// keys calls each for the keys with a prefix after start that have a value at the block in parameter at, in order, most of them at
// first. each must not wait.
func (r *request) keys(prefix, start string, most, at int, each func(k string, state getter)) error {
	c := r.chain
	c.mu.Lock()
	c.led.state.sortKeys()
	c.mu.Unlock()
	_, err := r.at(at, func(b *block) (any, error) {
		state := c.led.getter(b)
		has := func(k string) bool { return state(k) != nil }
		if b.best {
			has = func(k string) bool { return c.led.state.has(k, b.number) }
		}
		n := 0
		c.led.state.scan(prefix, start, func(k string) bool {
			if has(k) {
				each(k, state)
				n++
			}
			return n < most
		})
		return nil, nil
	})
	return err
}

// hexKeys lists keys as keys finds them.
func (r *request) hexKeys(prefix, start string, most, at int) (any, error) {
	all := []string{}
	err := r.keys(prefix, start, most, at, func(k string, _ getter) { all = append(all, hexBytes([]byte(k))) })
	return all, err
}

func getKeys(r *request) (any, error) {
	prefix, err := r.bytes(0)
	if err != nil {
		return nil, err
	}
	return r.hexKeys(string(prefix), "", maxQueryKeys, 1)
}

func getPairs(r *request) (any, error) {
	prefix, err := r.bytes(0)
	if err != nil {
		return nil, err
	}
	pairs := [][2]string{}
	err = r.keys(string(prefix), "", maxQueryKeys, 1, func(k string, state getter) {
		pairs = append(pairs, [2]string{hexBytes([]byte(k)), hexBytes(state(k))})
	})
	return pairs, err
}

// getKeysPaged takes prefix, count, the key to start after, and a block.
func getKeysPaged(r *request) (any, error) {
	var prefixHex, startHex string
	var count int
	if _, err := r.arg(0, &prefixHex); err != nil {
		return nil, err
	}
	if ok, err := r.arg(1, &count); !ok || err != nil {
		return nil, orMissing(err, 1)
	}
	if count < 1 || count > maxKeysPage {
		return nil, badParams("count %d is not between 1 and %d", count, maxKeysPage)
	}
	var prefix, start []byte
	var err error
	if prefixHex != "" {
		if prefix, err = parseHex(prefixHex); err != nil {
			return nil, err
		}
	}
	if ok, err := r.arg(2, &startHex); err != nil {
		return nil, err
	} else if ok {
		if start, err = parseHex(startHex); err != nil {
			return nil, err
		}
	}
	return r.hexKeys(string(prefix), string(start), count, 3)
}

// keyList decodes a list of hex keys in parameter i; nil when it is missing.
func (r *request) keyList(i int) ([]string, error) {
	var list []string
	ok, err := r.arg(i, &list)
	if !ok || err != nil {
		return nil, err
	}
	if len(list) > maxQueryKeys {
		return nil, badParams("%d keys are more than %d", len(list), maxQueryKeys)
	}
	keys := make([]string, len(list))
	for j, s := range list {
		b, err := parseHex(s)
		if err != nil {
			return nil, err
		}
		keys[j] = string(b)
	}
	return keys, nil
}

func valuesAt(c *Chain, b *block, keys []string) changeSet {
	state := c.led.getter(b)
	changes := make([][2]any, len(keys))
	for i, k := range keys {
		changes[i] = [2]any{hexBytes([]byte(k)), hexOrNull(state(k))}
	}
	return changeSet{hexHash(b.id), changes}
}

func queryStorageAt(r *request) (any, error) {
	keys, err := r.keyList(0)
	if err != nil {
		return nil, err
	}
	return r.at(1, func(b *block) (any, error) { return []changeSet{valuesAt(r.chain, b, keys)}, nil })
}

// queryStorage tells the values at the block in parameter 1 and each change up to the one in parameter 2.
func queryStorage(r *request) (any, error) {
	keys, err := r.keyList(0)
	if err != nil {
		return nil, err
	}
	var from *block
	if _, err := r.at(1, func(b *block) (any, error) { from = b; return nil, nil }); err != nil {
		return nil, err
	}
	return r.at(2, func(to *block) (any, error) {
		if !from.best || !to.best || from.number > to.number || to.number-from.number > maxQueryBlocks {
			return nil, badParams("range of blocks is not on the best chain, or of more than %d blocks", maxQueryBlocks)
		}
		sets := []changeSet{valuesAt(r.chain, from, keys)}
		last := sets[0].Changes
		for n := from.number + 1; n <= to.number; n++ {
			now := valuesAt(r.chain, r.chain.led.canon[n], keys)
			var changed [][2]any
			for i, x := range now.Changes {
				if x != last[i] {
					changed = append(changed, x)
				}
			}
			if len(changed) > 0 {
				sets = append(sets, changeSet{now.Block, changed})
			}
			last = now.Changes
		}
		return sets, nil
	})
}

// subscribeStorage starts with the present values of its keys.
func subscribeStorage(r *request) (any, error) {
	keys, err := r.keyList(0)
	if err != nil {
		return nil, err
	}
	sub, err := r.subscribe("state_storage")
	if err != nil {
		return nil, err
	}
	c := r.chain
	c.mu.Lock()
	defer c.mu.Unlock()
	if keys != nil {
		sub.send(valuesAt(c, c.led.head(), keys))
	}
	c.hub.all[sub] = storageTopic{keys}
	return sub.id, nil
}

func subscribeVersion(r *request) (any, error) {
	sub, err := r.subscribe("state_runtimeVersion")
	if err != nil {
		return nil, err
	}
	c := r.chain
	c.mu.Lock()
	defer c.mu.Unlock()
	sub.send(c.runtimeAt(c.led.head()).json())
	c.hub.all[sub] = versionTopic{}
	return sub.id, nil
}

func parseHexNumber(s string) (uint64, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	if !ok || err != nil {
		return 0, badParams("%q is not a hex number", s)
	}
	return n, nil
}
