package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
)

// Read yields the entries of a directory's record, oldest first. Lines that are none are passed over. A record that does not exist
// is empty.
func Read(dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for i := files - 1; i >= 0; i-- {
			err := readFile(path(dir, i), func(e Entry) bool { return yield(e, nil) })
			switch {
			case errors.Is(err, errStop):
				return
			case err != nil && !errors.Is(err, fs.ErrNotExist):
				yield(Entry{}, fmt.Errorf("read the audit record: %w", err))
				return
			}
		}
	}
}

var errStop = errors.New("enough")

func readFile(name string, use func(Entry) bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, maxLine)
	for {
		line, err := r.ReadSlice('\n')
		var e Entry
		if err == nil && json.Unmarshal(line, &e) == nil && e.Kind != "" && !use(e) {
			return errStop
		}
		for errors.Is(err, bufio.ErrBufferFull) { // no line of ours: skip to its end
			_, err = r.ReadSlice('\n')
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
