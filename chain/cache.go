package chain

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"iod/metadata"

	"github.com/google/renameio/v2"
)

// A cached file is the magic line, the blake2-256 hash of the rest, and the metadata as the node gave it:
//
//	"iod-metadata/1\n" ‖ hash (32) ‖ metadata
const cacheMagic = "iod-metadata/1\n"

// maxCached bounds a cached file; Polkadot's metadata is half a MB.
const maxCached = 16 << 20

var (
	errNoCache = errors.New("nothing is cached")
	errTorn    = errors.New("file is torn or of another kind")
)

func cachePath(dir string, genesis Hash, spec uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%x-%d.metadata", genesis[:], spec))
}

// readCache returns the metadata cached for a version; errNoCache when there is none.
func readCache(dir string, genesis Hash, spec uint32) ([]byte, error) {
	if dir == "" {
		return nil, errNoCache
	}
	f, err := os.Open(cachePath(dir, genesis, spec))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNoCache
	}
	if err != nil {
		return nil, fmt.Errorf("read cached metadata: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxCached))
	if err != nil {
		return nil, fmt.Errorf("read cached metadata: %w", err)
	}
	rest, ok := bytes.CutPrefix(b, []byte(cacheMagic))
	if !ok || len(rest) < 32 {
		return nil, fmt.Errorf("read cached metadata %s: %w", f.Name(), errTorn)
	}
	if sum := metadata.Blake2_256(rest[32:]); !bytes.Equal(sum[:], rest[:32]) {
		return nil, fmt.Errorf("read cached metadata %s: %w", f.Name(), errTorn)
	}
	return rest[32:], nil
}

// writeCache replaces the file as a whole or leaves it as it was.
func writeCache(dir string, genesis Hash, spec uint32, raw []byte) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cache metadata: %w", err)
	}
	sum := metadata.Blake2_256(raw)
	b := append(append([]byte(cacheMagic), sum[:]...), raw...)
	if err := renameio.WriteFile(cachePath(dir, genesis, spec), b, 0o600); err != nil {
		return fmt.Errorf("cache metadata: %w", err)
	}
	return nil
}
