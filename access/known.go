package access

import (
	"context"
	"fmt"
	"strings"

	"iod/document"
	"iod/key"
	"iod/pallet/rbac"
)

// SetUp returns the names of the device's streams for which the owner's permissions stand on the chain as of b, whatever the
// device's document says now: that may be overwritten, gone, or have dropped a stream, while what was granted still holds. A
// permission whose name was changed by other means is not found.
func SetUp(ctx context.Context, b rbac.Block, owner, device key.AccountID) ([]string, error) {
	all, err := rbac.Entities(ctx, b, owner, rbac.Permission)
	if err != nil {
		return nil, fmt.Errorf("streams of %s that %s set up: %w", device, owner, err)
	}
	var streams []string
	for _, e := range all {
		// The name tells only where to look; the id proves it.
		_, rest, _ := strings.Cut(e.Name, " ")
		name, _, _ := strings.Cut(rest, " ")
		if document.ValidStreamName(name) && e.ID == EntityID(owner, device, name, rbac.Permission) {
			streams = append(streams, name)
		}
	}
	return streams, nil
}
