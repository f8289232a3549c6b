package sqlite

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// next are what to do about SQLite's primary result codes, where somebody can do something.
var next = map[int]string{
	sqlite3.SQLITE_FULL:     "make room on the disk; nothing that was written is lost, and the index continues where it was",
	sqlite3.SQLITE_READONLY: "let this user write to the file and to its directory, or name another database",
	sqlite3.SQLITE_CANTOPEN: "its directory must exist and this user may have to write to it; or name another database",
	sqlite3.SQLITE_BUSY:     "another program holds the file: end it, or name another database",
	sqlite3.SQLITE_LOCKED:   "another program holds the file: end it, or name another database",
	sqlite3.SQLITE_NOTADB:   "the file is something else: name another database",
	sqlite3.SQLITE_CORRUPT:  "the file is damaged: remove it, and the index is built anew from the chain",
	sqlite3.SQLITE_IOERR:    "check the disk; nothing that was written is lost",
	sqlite3.SQLITE_PERM:     "let this user write to the file and to its directory, or name another database",
}

// advised adds to an error of SQLite what to do next.
func advised(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	text, ok := next[e.Code()&0xff]
	if !ok {
		return err
	}
	return fmt.Errorf("%w: %s", err, text)
}
