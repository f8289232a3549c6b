package devchain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"iod/scale"
)

// The log is the chain on disk, one file that only grows:
//
//	magic "iod devchain 1\n"
//	record…  length u32 | CRC-32C of the payload u32 | payload
//
//	payload  0x01 block    hash, finalised u32, header, extrinsics, changes (key, Option<value>)
//	         0x02 finality finalised u32
//
// A block whose parent is not the newest one takes the blocks above its parent back. Each record is handed to the operating
// system before anybody hears of its block, so that a killed process loses none; it is forced to the disk every
// syncInterval, which is what a power cut may cost. A record cut short at the end is what a crash leaves: it is dropped.
const (
	logMagic     = "iod devchain 1\n"
	logName      = "chain.log"
	recordBlock  = 1
	recordFinal  = 2
	maxRecord    = 256 << 20
	syncInterval = 200 * time.Millisecond
)

var (
	errLogMagic   = errors.New("is not a chain of this program")
	errLogCorrupt = errors.New("is damaged")
	errLogLocked  = errors.New("is in use by another process")
	crcTable      = crc32.MakeTable(crc32.Castagnoli)
)

type chainLog struct {
	file *os.File
	size int64

	mu    sync.Mutex
	dirty bool
	stop  chan struct{}
	done  chan struct{}
	err   error // of the last sync
}

// openLog opens or makes the log in dir and calls each with the payloads of its records and their place.
func openLog(dir string, each func(payload []byte, at int64) error) (*chainLog, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("devchain: make state directory: %w", err)
	}
	path := filepath.Join(dir, logName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("devchain: open state: %w", err)
	}
	l := &chainLog{file: file, stop: make(chan struct{}), done: make(chan struct{})}
	if lockFile(file) != nil {
		err = errLogLocked
	} else {
		err = l.replay(each)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("devchain: state %s: %w", path, err)
	}
	go l.syncLoop()
	return l, nil
}

func (l *chainLog) replay(each func([]byte, int64) error) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	end := info.Size()
	magic := make([]byte, len(logMagic))
	n, err := l.file.ReadAt(magic, 0)
	if err != nil && err != io.EOF {
		return err
	}
	if string(magic[:n]) != logMagic[:n] {
		return errLogMagic
	}
	if n < len(logMagic) {
		l.size = int64(len(logMagic))
		_, err := l.file.WriteAt([]byte(logMagic), 0)
		return err
	}
	l.size = int64(len(logMagic))
	for l.size < end {
		payload, err := l.record(end)
		if err != nil {
			return err
		}
		if payload == nil {
			return l.file.Truncate(l.size) // the tail of a crash
		}
		if err := each(payload, l.size+8); err != nil {
			return fmt.Errorf("record at %d: %w", l.size, err)
		}
		l.size += 8 + int64(len(payload))
	}
	return nil
}

// record reads the record at l.size; nil when it is the last one and was cut short.
func (l *chainLog) record(end int64) ([]byte, error) {
	var head [8]byte
	if end-l.size < 8 {
		return nil, nil
	}
	if _, err := l.file.ReadAt(head[:], l.size); err != nil {
		return nil, err
	}
	n, sum := int64(binary.LittleEndian.Uint32(head[:4])), binary.LittleEndian.Uint32(head[4:])
	if l.size+8+n > end {
		return nil, nil
	}
	if n > maxRecord {
		return nil, fmt.Errorf("%w at byte %d", errLogCorrupt, l.size)
	}
	payload := make([]byte, n)
	if _, err := l.file.ReadAt(payload, l.size+8); err != nil {
		return nil, err
	}
	if crc32.Checksum(payload, crcTable) != sum {
		if l.size+8+n == end {
			return nil, nil
		}
		return nil, fmt.Errorf("%w at byte %d", errLogCorrupt, l.size)
	}
	return payload, nil
}

// append writes a record and returns where its payload stands.
func (l *chainLog) append(payload []byte) (int64, error) {
	b := make([]byte, 8, 8+len(payload))
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(payload, crcTable))
	if _, err := l.file.WriteAt(append(b, payload...), l.size); err != nil {
		return 0, fmt.Errorf("devchain: write state: %w", err)
	}
	at := l.size + 8
	l.size += 8 + int64(len(payload))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dirty = true
	return at, l.err
}

// read returns n bytes of the log; nil when the disk refuses, which append then reports.
func (l *chainLog) read(off int64, n int) []byte {
	b := make([]byte, n)
	if _, err := l.file.ReadAt(b, off); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.err = fmt.Errorf("devchain: read state: %w", err)
		return nil
	}
	return b
}

func (l *chainLog) syncLoop() {
	defer close(l.done)
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.sync()
		case <-l.stop:
			l.sync()
			return
		}
	}
}

func (l *chainLog) sync() {
	l.mu.Lock()
	dirty := l.dirty
	l.dirty = false
	l.mu.Unlock()
	if !dirty {
		return
	}
	if err := l.file.Sync(); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.err = fmt.Errorf("devchain: sync state: %w", err)
	}
}

func (l *chainLog) close() error {
	close(l.stop)
	<-l.done
	return errors.Join(l.err, l.file.Close())
}

// blockRecord is the payload of a block.
type blockRecord struct {
	hash       [32]byte
	finalised  uint32
	header     header
	extrinsics [][]byte
	changes    []change
}

// encode returns the payload, where in it the extrinsics start, and where each value stands.
func (b blockRecord) encode() (payload []byte, extrinsics int, offs []int64) {
	p := append([]byte{recordBlock}, b.hash[:]...)
	p = scale.AppendU32(p, b.finalised)
	p = scale.AppendVec(p, b.header.encode())
	extrinsics = len(p)
	p = appendExtrinsics(p, b.extrinsics)
	p = scale.AppendCompact(p, uint64(len(b.changes)))
	offs = make([]int64, len(b.changes))
	for i, c := range b.changes {
		p = scale.AppendStr(p, c.key)
		if c.value == nil {
			p = append(p, 0)
			continue
		}
		p = scale.AppendVec(append(p, 1), c.value)
		offs[i] = int64(len(p) - len(c.value))
	}
	return p, extrinsics, offs
}

func appendExtrinsics(p []byte, all [][]byte) []byte {
	p = scale.AppendCompact(p, uint64(len(all)))
	for _, x := range all {
		p = scale.AppendVec(p, x)
	}
	return p
}

func readExtrinsics(r *scale.Reader) [][]byte {
	all := make([][]byte, r.Count(1))
	for i := range all {
		all[i] = r.Vec()
	}
	return all
}

func decodeBlockRecord(payload []byte) (b blockRecord, extrinsics int, offs []int64, err error) {
	r := scale.NewReader(payload[1:])
	copy(b.hash[:], r.Bytes(32))
	b.finalised = r.U32()
	head := r.Vec()
	if r.Err() == nil {
		if b.header, err = decodeHeader(head); err != nil {
			return b, 0, nil, err
		}
	}
	extrinsics = 1 + r.Offset()
	b.extrinsics = readExtrinsics(r)
	b.changes = make([]change, r.Count(2))
	offs = make([]int64, len(b.changes))
	for i := range b.changes {
		b.changes[i].key = r.Str()
		if r.Option() {
			b.changes[i].value = r.Vec()
			if b.changes[i].value == nil {
				b.changes[i].value = []byte{}
			}
			offs[i] = int64(1 + r.Offset() - len(b.changes[i].value))
		}
	}
	return b, extrinsics, offs, r.End()
}
