package devchain

import (
	"sort"
	"sync"

	"iod/key"
)

// methods lists what the server answers.
var methods = sync.OnceValue(func() map[string]handler {
	m := map[string]handler{}
	for _, part := range []map[string]handler{systemMethods, chainMethods, stateMethods, authorMethods, devMethods} {
		for name, h := range part {
			m[name] = h
		}
	}
	m["rpc_methods"] = func(*request) (any, error) {
		names := []string{}
		for name := range m {
			names = append(names, name)
		}
		sort.Strings(names)
		return map[string]any{"methods": names}, nil
	}
	return m
})

// fixed answers always the same.
func fixed(v any) handler { return func(*request) (any, error) { return v, nil } }

func unsubscribe(r *request) (any, error) {
	var id string
	if ok, err := r.arg(0, &id); !ok || err != nil {
		return nil, orMissing(err, 0)
	}
	return r.conn != nil && r.conn.forget(id), nil
}

var systemMethods = map[string]handler{
	"system_chain":                fixed("iod devchain"),
	"system_name":                 fixed("iod devchain"),
	"system_version":              fixed("1"),
	"system_chainType":            fixed("Development"),
	"system_properties":           fixed(map[string]any{"tokenDecimals": 18, "tokenSymbol": "PEAQ", "ss58Format": 42}),
	"system_health":               fixed(map[string]any{"peers": 0, "isSyncing": false, "shouldHavePeers": false}),
	"system_localPeerId":          fixed("12D3KooWDevchainDevchainDevchainDevchainDevchainDev1"),
	"system_localListenAddresses": fixed([]string{}),
	"system_nodeRoles":            fixed([]string{"Authority"}),
	"system_peers":                fixed([]any{}),
	"system_syncState": func(r *request) (any, error) {
		n, _ := r.chain.Best()
		return map[string]any{"startingBlock": 0, "currentBlock": n, "highestBlock": n}, nil
	},
	"system_accountNextIndex": nextIndex,
	"account_nextIndex":       nextIndex,
}

// nextIndex is the nonce for an account's next transaction, those in the pool counted.
func nextIndex(r *request) (any, error) {
	var s string
	if ok, err := r.arg(0, &s); !ok || err != nil {
		return nil, orMissing(err, 0)
	}
	id, err := key.ParseAccount(s)
	if err != nil {
		return nil, badParams("%v", err)
	}
	c := r.chain
	c.mu.RLock()
	defer c.mu.RUnlock()
	a := decodeAccount(c.led.getter(c.led.head())(accounts.key(id[:])))
	return c.pool.next(id, a.nonce), nil
}

var chainMethods = map[string]handler{
	"chain_getHeader": func(r *request) (any, error) {
		v, err := r.at(0, func(b *block) (any, error) { return b.json(), nil })
		return unknownIsNull(v, err)
	},
	"chain_getBlock": func(r *request) (any, error) {
		v, err := r.at(0, func(b *block) (any, error) {
			extrinsics := []string{}
			for _, x := range r.chain.led.body(b) {
				extrinsics = append(extrinsics, hexBytes(x))
			}
			return map[string]any{"block": map[string]any{"header": b.json(), "extrinsics": extrinsics},
				"justifications": nil}, nil
		})
		return unknownIsNull(v, err)
	},
	"chain_getBlockHash":     blockHash,
	"chain_getHead":          blockHash,
	"chain_getFinalizedHead": finalHead,
	"chain_getFinalisedHead": finalHead,
}

func init() {
	for names, t := range map[[3]string]topic{
		{"NewHead", "NewHeads", "newHead"}:                    newHeads{},
		{"AllHeads", "", "allHead"}:                           allHeads{},
		{"FinalizedHeads", "FinalisedHeads", "finalizedHead"}: finalHeads{},
	} {
		for _, name := range names[:2] {
			if name != "" {
				chainMethods["chain_subscribe"+name] = subscribeHeads("chain_"+names[2], t)
				chainMethods["chain_unsubscribe"+name] = unsubscribe
			}
		}
	}
	chainMethods["subscribe_newHead"] = subscribeHeads("chain_newHead", newHeads{})
	chainMethods["unsubscribe_newHead"] = unsubscribe
}

// unknownIsNull turns the error of a block that is not known into null, as nodes do for headers and blocks.
func unknownIsNull(v any, err error) (any, error) {
	if e, ok := err.(*rpcError); ok && e.Code == 4003 {
		return nil, nil
	}
	return v, err
}

// blockHash answers a number, a list of numbers, or none for the head.
func blockHash(r *request) (any, error) {
	var list []any
	var single any
	c := r.chain
	if ok, err := r.arg(0, &single); err != nil {
		return nil, err
	} else if !ok {
		_, hash := c.Best()
		return hexHash(hash), nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	list, many := single.([]any)
	if !many {
		return c.hashOf(single)
	}
	all := make([]any, len(list))
	for i, x := range list {
		var err error
		if all[i], err = c.hashOf(x); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// hashOf returns the hash of the block whose number is a JSON number or a hex string, nil when there is none.
func (c *Chain) hashOf(n any) (any, error) {
	number := -1.0
	switch n := n.(type) {
	case float64:
		number = n
	case string:
		v, err := parseHexNumber(n)
		if err != nil {
			return nil, err
		}
		number = float64(v)
	}
	if number < 0 || number != float64(uint64(number)) {
		return nil, badParams("block number is neither a number nor hex")
	}
	if number >= float64(len(c.led.canon)) {
		return nil, nil
	}
	return hexHash(c.led.canon[int(number)].id), nil
}

func finalHead(r *request) (any, error) {
	_, hash := r.chain.Finalised()
	return hexHash(hash), nil
}

// subscribeHeads starts with the present head.
func subscribeHeads(method string, t topic) handler {
	return func(r *request) (any, error) {
		sub, err := r.subscribe(method)
		if err != nil {
			return nil, err
		}
		c := r.chain
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, final := t.(finalHeads); final {
			sub.send(c.led.canon[c.led.finalised].json())
		} else {
			sub.send(c.led.head().json())
		}
		c.hub.all[sub] = t
		return sub.id, nil
	}
}
