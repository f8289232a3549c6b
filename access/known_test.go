package access

import (
	"context"
	"slices"
	"testing"

	"iod/chain"
	"iod/key"
	"iod/metadata"
	"iod/pallet/rbac"
)

// permissionsBlock is a block that holds one owner's permissions and nothing else.
type permissionsBlock struct {
	meta *metadata.Metadata
	raw  []byte
}

func (b permissionsBlock) Metadata(context.Context) (*metadata.Metadata, error) { return b.meta, nil }
func (b permissionsBlock) Raw(_ context.Context, keys ...[]byte) ([]chain.KeyValue, error) {
	return []chain.KeyValue{{Key: keys[0], Value: b.raw}}, nil
}

// Only ids prove that a permission is of a stream of the device: names are what anybody calls them.
func TestSetUp(t *testing.T) {
	owner, device, other := key.AccountID{1}, key.AccountID{2}, key.AccountID{3}
	m := meta(t)
	entity := func(of key.AccountID, stream, name string) any {
		e := EntityID(owner, of, stream, rbac.Permission)
		return metadata.Fields{{Name: "id", Value: e[:]}, {Name: "name", Value: []byte(name)}, {Name: "enabled", Value: true}}
	}
	raw, err := m.EncodeStorage("PeaqRbac", "PermissionStore", []any{
		entity(device, "wind", entityName(device, "wind")),
		entity(other, "rain", entityName(device, "rain")), // another device's, called like ours
		entity(device, "sun", "renamed"),
		entity(device, "snow", entityName(device, "snow")),
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := SetUp(t.Context(), permissionsBlock{m, raw}, owner, device)
	if err != nil || !slices.Equal(got, []string{"wind", "snow"}) {
		t.Errorf("SetUp = %v, %v; want wind and snow", got, err)
	}
}
