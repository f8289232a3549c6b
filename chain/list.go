package chain

import (
	"encoding/json"
	"fmt"

	"iod/chain/rpc"
)

// maxList bounds the items of any list in a node's answer. A frame of some MB could hold millions of empty ones, which take many
// times as much memory once decoded.
const maxList = 1 << 16

// list is a list in an answer. It counts before it decodes; null, which no node has reason to answer, is an error as well.
type list[T any] []T

func (l *list[T]) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '[' {
		return fmt.Errorf("%.20q is not a list", b)
	}
	if rpc.Items(b, maxList+1) > maxList {
		return fmt.Errorf("list of more than %d items", maxList)
	}
	return json.Unmarshal(b, (*[]T)(l))
}
