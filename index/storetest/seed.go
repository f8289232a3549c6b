package storetest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/blake2b"

	"iod/access"
	"iod/document"
	"iod/key"
	"iod/metadata"
	"iod/pallet/did"
	"iod/pallet/rbac"
	"iod/scale"
)

// DevicesPerOwner is how many of the devices of Seed share an owner.
const DevicesPerOwner = 50

// Seed makes the raw storage of n devices, from number first on, as their own transactions and those of their owners would have left
// it: signed documents of sr25519 accounts, two streams each at a place of its own, set up in RBAC by the owner, with two users who
// may use one stream and one who may use all. n is a multiple of DevicesPerOwner. The same numbers give the same devices.
func Seed(t testing.TB, m *metadata.Metadata, first, n int) map[string][]byte {
	t.Helper()
	var mu sync.Mutex
	all := make(map[string][]byte, 12*n)
	var wg sync.WaitGroup
	owners := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for o := range owners {
				s := seed{t: t, m: m, kv: map[string][]byte{}, kinds: map[rbac.Kind][]byte{}}
				s.owner(o)
				mu.Lock()
				for k, v := range s.kv {
					all[k] = v
				}
				mu.Unlock()
			}
		})
	}
	for o := first / DevicesPerOwner; o < (first+n)/DevicesPerOwner; o++ {
		owners <- o
	}
	close(owners)
	wg.Wait()
	return all
}

// SeedOwner is the account of the owner of a device of Seed.
func SeedOwner(device int) key.AccountID {
	return key.AccountID(blake2b.Sum256(fmt.Appendf(nil, "owner %d", device/DevicesPerOwner)))
}

// SeedPair is the key pair of a device of Seed.
func SeedPair(t testing.TB, device int) *key.Pair {
	var entropy [32]byte
	copy(entropy[:], fmt.Sprintf("device %d", device))
	p, err := key.FromURI(key.Sr25519, fmt.Sprintf("0x%x", entropy))
	if err != nil {
		t.Error(err)
	}
	return p
}

// seed makes the storage of one owner and their devices.
type seed struct {
	t     testing.TB
	m     *metadata.Metadata
	kv    map[string][]byte
	kinds map[rbac.Kind][]byte // entities, encoded
	count map[rbac.Kind]int
}

func (s *seed) put(k []byte, err error, v []byte) {
	if err != nil {
		s.t.Error(err)
	}
	s.kv[string(k)] = v
}

func (s *seed) owner(o int) {
	owner := SeedOwner(o * DevicesPerOwner)
	s.count = map[rbac.Kind]int{}
	for d := o * DevicesPerOwner; d < (o+1)*DevicesPerOwner; d++ {
		p := SeedPair(s.t, d)
		s.document(p, owner, d)
		s.rights(p.Account(), owner, d)
	}
	for k, b := range s.kinds {
		at, err := rbac.StoreKey(s.m, owner, k)
		s.put(at, err, append(scale.AppendCompact(nil, uint64(s.count[k])), b...))
	}
}

var seedTypes = []string{"wind_speed", "temperature", "noise", "traffic", "radiation", "humidity", "light", "pm10"}

func (s *seed) document(p *key.Pair, owner key.AccountID, n int) {
	a, r := p.Account(), rand.New(rand.NewPCG(uint64(n), 4))
	d := Weather(p, uint64(Epoch.UnixMilli())+uint64(n))
	d.Location = fmt.Sprintf("%.5f,%.5f", r.Float64()*170-85, r.Float64()*360-180)
	d.Streams[0].DataType, d.Streams[0].Price = seedTypes[r.IntN(len(seedTypes))], fmt.Sprint(r.IntN(1000), ".5")
	d.Streams[0].Description = fmt.Sprintf("station %d, on a roof", n)
	raw, err := d.Sign(p)
	if err != nil {
		s.t.Error(err)
	}
	b := scale.AppendVec(nil, []byte(document.DeviceAttribute))
	b = scale.AppendU32(scale.AppendVec(b, raw), did.Forever)
	b = scale.AppendU64(b, uint64(Epoch.Add(time.Duration(n)*time.Millisecond).UnixMilli()))
	at, err := did.StorageKey(s.m, a, document.DeviceAttribute)
	s.put(at, err, b)
	id := blake2b.Sum256(append(a[:len(a):len(a)], a[:]...))
	at, err = s.m.StorageKey(did.Pallet, "OwnerStore", []any{a, id[:]})
	s.put(at, err, a[:])
}

func (s *seed) entity(k rbac.Kind, id rbac.ID, name string) {
	s.kinds[k] = scale.AppendBool(scale.AppendVec(append(s.kinds[k], id[:]...), []byte(name)), true)
	s.count[k]++
}

// link writes all that a holder holds; pairs are stored with the user or the role or the permission first, as the pallet has them.
func (s *seed) link(owner key.AccountID, r rbac.Relation, holder rbac.ID, held ...rbac.ID) {
	b := scale.AppendCompact(nil, uint64(len(held)))
	for _, h := range held {
		if r == rbac.UserGroup {
			b = append(append(b, holder[:]...), h[:]...)
		} else {
			b = append(append(b, h[:]...), holder[:]...)
		}
	}
	at, err := rbac.AssignmentKey(s.m, owner, r, holder)
	s.put(at, err, b)
}

func (s *seed) rights(device, owner key.AccountID, n int) {
	id := func(stream string, k rbac.Kind) rbac.ID { return access.EntityID(owner, device, stream, k) }
	name := func(stream string) string { return "iod " + stream + " " + device.String()[:16] }
	all := id("", rbac.Group)
	s.entity(rbac.Group, all, name("all streams"))
	var roles []rbac.ID
	for _, stream := range []string{"wind", "camera"} {
		role, group := id(stream, rbac.Role), id(stream, rbac.Group)
		s.entity(rbac.Permission, id(stream, rbac.Permission), name(stream))
		s.entity(rbac.Role, role, name(stream))
		s.entity(rbac.Group, group, name(stream))
		s.link(owner, rbac.RolePermission, role, id(stream, rbac.Permission))
		s.link(owner, rbac.GroupRole, group, role)
		roles = append(roles, role)
	}
	s.link(owner, rbac.GroupRole, all, roles...)
	for i, group := range []rbac.ID{id("wind", rbac.Group), id("wind", rbac.Group), all} {
		s.link(owner, rbac.UserGroup, SeedUser(n, i), group)
	}
}

// SeedUser is one of the three who may use a device: the first two its stream "wind", the third all streams.
func SeedUser(device, i int) rbac.ID {
	return blake2b.Sum256(fmt.Appendf(nil, "user %d of %d", i, device))
}
