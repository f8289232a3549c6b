package devchain

import (
	"fmt"
	"math/big"
	"testing"

	"iod/key"
)

// BenchmarkTransactions measures signed transactions sent one after the other over one WebSocket without waiting, until
// each is answered and executed.
func BenchmarkTransactions(b *testing.B) {
	const accounts = 16
	pairs := make([]*key.Pair, accounts)
	endowed := map[key.AccountID]*big.Int{}
	for i := range pairs {
		pairs[i] = keyPair(b, key.Sr25519, fmt.Sprintf("//bench/%d", i))
		endowed[pairs[i].Account()] = new(big.Int).Mul(unit, big.NewInt(1_000_000))
	}
	for _, dir := range []string{"memory", "disk"} {
		b.Run(dir, func(b *testing.B) {
			o := Options{Endowed: endowed}
			if dir == "disk" {
				o.Dir = b.TempDir()
			}
			c, addr := start(b, o)
			s := immortal(c)
			txs := make([]string, b.N)
			for i := range txs {
				txs[i] = hexBytes(s.sign(b, pairs[i%accounts], uint32(i/accounts), 0, remark("a remark of the usual length")))
			}
			k := dial(b, addr)
			b.ResetTimer()
			for _, tx := range txs {
				k.send("author_submitExtrinsic", tx)
			}
			for range txs {
				if m := k.answer(); m.Error != nil {
					b.Fatal(m.Error, m.Error.Data)
				}
			}
			for i, p := range pairs {
				want := uint32(b.N / accounts)
				if i < b.N%accounts {
					want++
				}
				for c.nonce(p.Account()) != want {
					k.call(nil, "system_health")
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
			n, _ := c.Best()
			b.ReportMetric(float64(b.N)/float64(n), "tx/block")
		})
	}
}

func (c *Chain) nonce(id key.AccountID) uint32 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return decodeAccount(c.led.getter(c.led.head())(accounts.key(id[:]))).nonce
}

// BenchmarkBlocks measures blocks of a chain on disk served to one client that asks for each block, its hash and its events.
func BenchmarkBlocks(b *testing.B) {
	c, addr := start(b, Options{Dir: b.TempDir(), Manual: true})
	alice := keyPair(b, key.Sr25519, "//Alice")
	s := immortal(c)
	const blocks = 10_000
	for i := range blocks {
		if i%10 == 0 {
			if _, err := c.Submit(s.sign(b, alice, uint32(i/10), 0, remark("one"))); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := c.NewBlock(1); err != nil {
			b.Fatal(err)
		}
	}
	k := dial(b, addr)
	b.ResetTimer()
	for i := range b.N {
		c.mu.RLock()
		hash := hexHash(c.led.canon[1+i%blocks].id)
		c.mu.RUnlock()
		k.send("chain_getBlockHash", 1+i%blocks)
		k.send("chain_getBlock", hash)
		k.send("state_getStorage", hexBytes([]byte(eventsKey)), hash)
	}
	for range 3 * b.N {
		if m := k.answer(); m.Error != nil {
			b.Fatal(m.Error)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "blocks/s")
}
