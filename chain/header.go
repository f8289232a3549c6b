package chain

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"iod/chain/rpc"
	"iod/metadata"
	"iod/scale"
)

// maxLogs bounds the digest items of a header; real ones have two or three.
const maxLogs = 64

// hexBytes are bytes that travel as 0x-hex.
type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte("0x" + hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) error {
	s, ok := strings.CutPrefix(string(text), "0x")
	if !ok {
		return errors.New("hexadecimal bytes without 0x")
	}
	b, err := hex.DecodeString(s)
	if err == nil {
		*h = b
	}
	return err
}

// blockNumber travels as 0x-hex, with or without leading zeros, or as a JSON number.
type blockNumber uint32

func (n *blockNumber) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	base := 10
	if digits, ok := strings.CutPrefix(s, "0x"); ok {
		s, base = digits, 16
	}
	v, err := strconv.ParseUint(s, base, 32)
	if err != nil {
		return fmt.Errorf("block number %.20s is none", b)
	}
	*n = blockNumber(v)
	return nil
}

// header is a block header as nodes write it.
type header struct {
	Parent     Hash        `json:"parentHash"`
	Number     blockNumber `json:"number"`
	State      Hash        `json:"stateRoot"`
	Extrinsics Hash        `json:"extrinsicsRoot"`
	Digest     struct {
		Logs list[hexBytes] `json:"logs"`
	} `json:"digest"`
}

// hash is the block's hash on chains that hash headers with blake2-256, as nearly all do.
//
//	parent ‖ compact number ‖ state root ‖ extrinsics root ‖ compact count ‖ digest items
func (h *header) hash() Hash {
	b := make([]byte, 0, 256)
	b = append(b, h.Parent[:]...)
	b = scale.AppendCompact(b, uint64(h.Number))
	b = append(b, h.State[:]...)
	b = append(b, h.Extrinsics[:]...)
	b = scale.AppendCompact(b, uint64(len(h.Digest.Logs)))
	for _, l := range h.Digest.Logs {
		b = append(b, l...)
	}
	return metadata.Blake2_256(b)
}

func parseHeader(raw json.RawMessage) (*header, error) {
	var h *header
	if err := json.Unmarshal(raw, &h); err != nil {
		return nil, fmt.Errorf("%w: header: %w", rpc.ErrProtocol, err)
	}
	if h == nil {
		return nil, ErrNotFound
	}
	if len(h.Digest.Logs) > maxLogs {
		return nil, fmt.Errorf("%w: header with %d digest items", rpc.ErrProtocol, len(h.Digest.Logs))
	}
	return h, nil
}
