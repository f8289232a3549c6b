package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"iod/index"
)

// statements are prepared once on the writing connection.
type statements struct {
	get, insert, update, drop, lastRank *sql.Stmt
	offer, offers, dropOffers           *sql.Stmt
	count, area, step                   *sql.Stmt
	dropArea, dropStep                  *sql.Stmt
	words, dropWords, said, dropSaid    *sql.Stmt
	term, findTerm, newTerm, countTerms *sql.Stmt
	findWord, newWord                   *sql.Stmt
	findCombo, newCombo                 *sql.Stmt
	legacy, dropLegacy                  *sql.Stmt
	document                            *sql.Stmt
	history, aside, tally               *sql.Stmt
	due, nextDue, cursor, advance       *sql.Stmt
	anchor, dropAnchors                 *sql.Stmt
	rights                              rightsStatements
}

func (s *statements) list() map[**sql.Stmt]string {
	all := map[**sql.Stmt]string{
		&s.get:      "SELECT " + columns + ", d.raw, l.document FROM listing l JOIN document d ON d.id = l.document WHERE l.account = ?",
		&s.insert:   "INSERT INTO listing (status, verified, owner, expires, document, vouch, shown, rest, rank, account) VALUES (?,?,?,?,?,?,?,?,?,?)",
		&s.update:   "UPDATE listing SET (status, verified, owner, expires, document, vouch, shown, rest) = (?,?,?,?,?,?,?,?) WHERE rank = ?",
		&s.drop:     "DELETE FROM listing WHERE rank = ?",
		&s.lastRank: "SELECT max(rank) FROM listing WHERE rank BETWEEN ? AND ?",

		&s.offer:      "INSERT INTO offer (rank, position, data_type, kind, unit, combo, price, verified, lat, lon, cell) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
		&s.offers:     "SELECT combo, cell, price FROM offer WHERE rank = ? ORDER BY position",
		&s.dropOffers: "DELETE FROM offer WHERE rank = ?",
		&s.count:      "UPDATE combo SET n = n + ? WHERE id = ?",
		&s.area:       "INSERT INTO area (square, n) VALUES (?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
		&s.dropArea:   "DELETE FROM area WHERE square = ? AND n = 0",
		&s.dropStep:   "DELETE FROM step WHERE of = ? AND step = ? AND n = 0",
		&s.step:       "INSERT INTO step (of, step, n) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
		&s.words:      "INSERT INTO words (rowid, terms) VALUES (?, ?)",
		&s.dropWords:  "DELETE FROM words WHERE rowid = ?",
		&s.said:       "INSERT INTO said (rank, terms) VALUES (?, ?)",
		&s.dropSaid:   "DELETE FROM said WHERE rank = ?",
		&s.term:       "UPDATE term SET n = n + ? WHERE text = ?",
		&s.findTerm:   "SELECT number FROM term WHERE text = ?",
		&s.newTerm:    "INSERT INTO term (text, number, n) VALUES (?, ?, ?)",
		&s.countTerms: "SELECT n FROM tally WHERE what = 'terms'",
		&s.findWord:   "SELECT id FROM word WHERE text = ?",
		&s.newWord:    "INSERT INTO word (text) VALUES (?)",
		&s.findCombo:  "SELECT id FROM combo WHERE data_type = ? AND kind = ? AND unit = ?",
		&s.newCombo:   "INSERT INTO combo (data_type, kind, unit, n) VALUES (?,?,?,0)",
		&s.legacy:     "INSERT INTO legacy (rank, data_type, location, price_access, price_pin) VALUES (?,?,?,?,?)",
		&s.dropLegacy: "DELETE FROM legacy WHERE rank = ?",

		&s.document: "INSERT INTO document (raw) VALUES (?)",
		&s.history:  "INSERT INTO history (account, action, who, state, sequence, document, at) VALUES (?,?,?,?,?,?,?)",
		&s.aside:    "INSERT INTO set_aside (account, who, reason, size, raw, block, at) VALUES (?,?,?,?,?,?,?)",
		&s.tally:    "UPDATE tally SET n = n + ? WHERE what = ?",

		&s.due:     "SELECT account FROM listing WHERE status = 'live' AND expires < 4294967295 AND expires < ? ORDER BY expires, account",
		&s.nextDue: "SELECT min(expires) FROM listing WHERE status = 'live' AND expires < 4294967295 AND expires >= ?",
		&s.cursor:  "SELECT number, hash FROM progress WHERE id = 1",
		&s.advance: "UPDATE progress SET number = ?, hash = ?, head = ?, committed = ? WHERE id = 1",

		&s.anchor: "INSERT OR REPLACE INTO anchor (number, hash) VALUES (?, ?)",
		&s.dropAnchors: fmt.Sprintf(`DELETE FROM anchor WHERE number <= ?1 - %[1]d AND (number %% %[1]d > 0 OR number <= ?1 - %[2]d)
			AND (number %% %[2]d > 0 OR number <= ?1 - %[3]d)`, index.Anchors, index.Anchors*index.Anchors, index.Anchors*index.Anchors*index.Anchors),
	}
	maps.Copy(all, s.rights.list())
	return all
}

// preparer is a database or a transaction.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

func (s *statements) prepare(ctx context.Context, db preparer) error {
	for stmt, q := range s.list() {
		var err error
		if *stmt, err = db.PrepareContext(ctx, q); err != nil {
			return errors.Join(fmt.Errorf("prepare %q: %w", q, err), s.close())
		}
	}
	return nil
}

func (s *statements) close() error {
	var err error
	for stmt := range s.list() {
		if *stmt != nil {
			err = errors.Join(err, (*stmt).Close())
		}
	}
	return err
}
