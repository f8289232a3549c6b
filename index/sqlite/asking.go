package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"iod/document"
	"iod/index"
)

// asking is a search with what the store knows of its words and numbers.
type asking struct {
	index.Query
	v      view
	need   int        // listings to find: a page and one more
	parts  [3][]int64 // ids of the types, kinds and units asked for; nil: any
	combos []combo    // what the offers asked for are; nil: too many, or any
	owner  int64      // 0: any
	words  matches    // with no text: any
	boxes  []box      // nil: anywhere
	curve  []stretch  // of the boxes
	from   index.Rank
	to     index.Rank // excluded
	stats  stats
}

// combo is a combination of type, kind and unit, and how many offers have it.
type combo struct {
	id int64
	n  float64
}

// maxCombos bounds how many combinations are looked at one by one.
const maxCombos = 64

// errNothing is why a search finds nothing: it names what no listing has.
var errNothing = errors.New("nothing matches")

// ask reads what the store knows of a query. errNothing: there is no need to look further.
func (v view) ask(ctx context.Context, q index.Query) (*asking, error) {
	a := &asking{Query: q, v: v, need: page(q.Limit) + 1, from: index.FirstRank(q.Since), to: topRank}
	if q.Since.IsZero() {
		a.from = 0
	}
	if m := q.After; m != nil && q.Order == index.Newest {
		a.to = m.Rank
	}
	if q.Box != nil {
		a.boxes = boxesOf(*q.Box)
	}
	if n := q.Near; n != nil && n.Km > 0 {
		circle := around(*n, n.Km)
		if a.boxes != nil {
			circle = both(a.boxes, circle)
		}
		if a.boxes = circle; len(circle) == 0 {
			return nil, errNothing
		}
	}
	if err := a.readTotals(ctx); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context) error{a.readParts, a.readCombos, a.readOwner, a.readWords, a.readPrices, a.readSince, a.readBoxes} {
		if err := read(ctx); err != nil {
			return nil, err
		}
	}
	return a, nil
}

const topRank = index.Rank(1<<63 - 1)

// readTotals asks how much there is in all.
func (a *asking) readTotals(ctx context.Context) error {
	var verified float64
	err := a.one(ctx, "SELECT (SELECT n FROM tally WHERE what = 'offers'), (SELECT n FROM tally WHERE what = 'live'), (SELECT n FROM tally WHERE what = 'verified')",
		nil, &a.stats.offers, &a.stats.listings, &verified)
	if err != nil {
		return err
	}
	switch left := &a.stats.sizes[byState]; a.State {
	case "":
		return nil
	case document.Verified:
		*left = verified
	case document.Unverified:
		*left = a.stats.listings - verified
	}
	return a.leaves(byState)
}

// leaves is errNothing when a filter leaves nothing.
func (a *asking) leaves(f filter) error {
	if a.stats.sizes[f] == 0 {
		return errNothing
	}
	return nil
}

// one asks for one row. No row is errNothing.
func (a *asking) one(ctx context.Context, text string, args []any, into ...any) error {
	rows, err := a.v.query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(rows.Err(), errNothing)
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	return rows.Err()
}

// readParts finds the ids of types, kinds and units.
func (a *asking) readParts(ctx context.Context) error {
	for i, texts := range [][]string{a.DataTypes, a.Kinds, a.Units} {
		if len(texts) == 0 {
			continue
		}
		list, err := json.Marshal(texts)
		if err != nil {
			return err
		}
		a.parts[i], err = ask(ctx, a.v, "words", scanID, "SELECT w.id FROM json_each(?) j CROSS JOIN word w ON w.text = j.value", string(list))
		if err != nil {
			return err
		}
		if len(a.parts[i]) == 0 {
			return errNothing
		}
	}
	return nil
}

func scanID(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) }

func (a *asking) anyPart() bool { return a.parts[0] == nil && a.parts[1] == nil && a.parts[2] == nil }

// readCombos finds out which combinations the offers asked for have.
func (a *asking) readCombos(ctx context.Context) error {
	if a.anyPart() {
		return nil
	}
	var w where
	for i, column := range []string{"data_type", "kind", "unit"} {
		w.among(column, a.parts[i])
	}
	all, err := ask(ctx, a.v, "kinds of offers", func(rows *sql.Rows) (c combo, err error) { return c, rows.Scan(&c.id, &c.n) },
		"SELECT id, n FROM combo WHERE n > 0 AND "+w.String()+fmt.Sprintf(" LIMIT %d", maxCombos+1), w.args...)
	if err != nil {
		return err
	}
	if len(all) > maxCombos {
		a.stats.sizes[byCombo] = a.stats.offers // not known: much
		return nil
	}
	for _, c := range all {
		a.stats.sizes[byCombo] += c.n
	}
	a.combos, a.stats.ways = all, len(all)
	return a.leaves(byCombo)
}

// readOwner finds the owner's id and about how many listings it has.
func (a *asking) readOwner(ctx context.Context) error {
	if a.Owner == nil {
		return nil
	}
	err := a.one(ctx, "SELECT id FROM owner WHERE account = ?", []any{a.Owner[:]}, &a.owner)
	if err != nil {
		return err
	}
	// Beyond enough, it is guessed to be half as much as all, by its number of digits.
	const enough = 1000
	n := &a.stats.sizes[byOwner]
	err = a.one(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM listing INDEXED BY listing_owner WHERE status = 'live' AND owner = ? LIMIT %d)", enough), []any{a.owner}, n)
	if err != nil {
		return err
	}
	if *n >= enough {
		*n = math.Sqrt(enough * max(a.stats.listings, enough))
	}
	return a.leaves(byOwner)
}

// readWords finds out what the words may be, and about how many listings have them.
func (a *asking) readWords(ctx context.Context) error {
	if a.Text == "" || index.Terms(a.Text) == nil {
		return nil
	}
	m, err := a.v.matching(ctx, a.Text)
	if err != nil {
		return err
	}
	a.words, a.stats.sizes[byWords], a.stats.wordsOnly = m, m.most, m.sets == nil
	return a.leaves(byWords)
}

// prices are the ends of what prices are asked for.
func (a *asking) prices() (from, to []byte) {
	from, to = []byte{}, topPrice
	if a.MinPrice != nil {
		from = packPrice(*a.MinPrice)
	}
	if a.MaxPrice != nil {
		to = packPrice(*a.MaxPrice)
	}
	return from, to
}

// readBoxes reckons about how many offers are within the boxes, from how many there are in squares.
func (a *asking) readBoxes(ctx context.Context) error {
	if a.boxes == nil {
		return nil
	}
	quads := cover(a.boxes)
	all, within, err := a.v.populated(ctx, quads, a.boxes)
	if err != nil {
		return err
	}
	if all == 0 {
		return errNothing
	}
	a.curve, a.stats.sizes[byBox] = joined(quads), max(within, 1)
	return nil
}

// populated reads how many offers there are in squares, and reckons how many of these are within boxes.
func (v view) populated(ctx context.Context, quads []quad, boxes []box) (all, within float64, err error) {
	asked, parts := []byte{'['}, make([]float64, len(quads))
	for i := range quads {
		from, to, part := quads[i].areas()
		if i > 0 {
			asked = append(asked, ',')
		}
		asked = append(asked, list([]int64{from, to})...)
		parts[i] = part * quads[i].within(boxes)
	}
	type sum struct {
		i int
		n float64
	}
	sums, err := ask(ctx, v, "areas", func(rows *sql.Rows) (s sum, err error) { return s, rows.Scan(&s.i, &s.n) },
		"SELECT j.key, a.n FROM json_each(?) j CROSS JOIN area a ON a.square BETWEEN j.value ->> 0 AND j.value ->> 1 WHERE a.n > 0", string(append(asked, ']')))
	for _, s := range sums {
		all += s.n
		within += s.n * parts[s.i]
	}
	return all, within, err
}

// where collects conditions with their arguments. Conditions are constants of this package: nothing that a caller says
// becomes SQL.
type where struct {
	conds []string
	args  []any
}

func (w *where) and(cond string, args ...any) {
	w.conds = append(w.conds, cond)
	w.args = append(w.args, args...)
}

// among narrows a column to ids; nil is no condition.
func (w *where) among(column string, ids []int64) {
	switch len(ids) {
	case 0:
	case 1:
		w.and(column+" = ?", ids[0])
	default:
		w.and(column+" IN (SELECT value FROM json_each(?))", list(ids))
	}
}

func (w *where) String() string { return strings.Join(w.conds, " AND ") }

// list is ids as JSON.
func list[N ~int64](ids []N) string {
	b := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return string(append(b, ']'))
}

// offers are the conditions on one offer o by itself; not the types when they are known by combination.
func (a *asking) offers(o string, typed bool) (w where) {
	if !typed {
		for i, column := range []string{"data_type", "kind", "unit"} {
			w.among(o+"."+column, a.parts[i])
		}
	}
	if a.MinPrice != nil {
		w.and(o+".price >= ?", packPrice(*a.MinPrice))
	}
	if a.MaxPrice != nil {
		w.and(o+".price <= ?", packPrice(*a.MaxPrice))
	}
	if w.conds == nil {
		w.and("1")
	}
	return w
}

// listing are the conditions on the listing of an offer o.
func (a *asking) listing(w *where, owned bool) {
	if a.State != "" {
		w.and("o.verified = ?", a.State == document.Verified)
	}
	if a.boxes != nil {
		w.within(a.boxes)
	} else if a.Near != nil {
		w.and("o.lat IS NOT NULL")
	}
	if a.owner != 0 && !owned {
		w.and("(SELECT l.owner FROM listing l WHERE l.rank = o.rank) = ?", a.owner)
	}
}

// within narrows to boxes; there are at most four of them.
func (w *where) within(boxes []box) {
	var any []string
	for _, b := range boxes {
		any = append(any, "o.lat BETWEEN ? AND ? AND o.lon BETWEEN ? AND ?")
		w.args = append(w.args, b.south, b.north, b.west, b.east)
	}
	cond := strings.Join(any, " OR ")
	if len(any) > 1 {
		cond = "(" + cond + ")"
	}
	w.conds = append(w.conds, cond)
}
