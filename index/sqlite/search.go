package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"iod/index"
)

// where collects conditions with their arguments. Conditions are constants of this file: nothing that a caller says
// becomes SQL.
type where struct {
	conds []string
	args  []any
}

func (w *where) and(cond string, args ...any) {
	w.conds = append(w.conds, cond)
	w.args = append(w.args, args...)
}

func (w *where) String() string { return strings.Join(w.conds, " AND ") }

// km is index.Distance from a place (latitude twice, longitude) to a listing.
const km = `2 * 6371.0088 * asin(sqrt(min(1, pow(sin(radians(l.lat - ?) / 2), 2) +
	cos(radians(?)) * cos(radians(l.lat)) * pow(sin(radians(l.lon - ?) / 2), 2))))`

// Search returns live listings.
func (s *Store) Search(ctx context.Context, q index.Query) (index.Page, error) {
	if err := q.Check(); err != nil {
		return index.Page{}, fmt.Errorf("search: %w", err)
	}
	words := match(q.Text)
	if words == "" && strings.TrimSpace(q.Text) != "" {
		return index.Page{}, nil // nothing but punctuation, which no word begins with
	}
	x := asking{q: q}
	found, err := s.found(ctx, q.Shown, x.text(words), x.args...)
	if err != nil {
		return index.Page{}, fmt.Errorf("search: %w", err)
	}
	return x.page(found), nil
}

// asking is a search as it becomes SQL.
type asking struct {
	q    index.Query
	args []any
}

func (x *asking) add(args ...any) { x.args = append(x.args, args...) }

// text is a subselect that finds listings with the offer that matched, its price and the distance, around it the order and the page.
func (x *asking) text(words string) string {
	q, o := x.q, offers(x.q)
	byPrice := " ORDER BY o.position"
	switch q.Order {
	case index.Cheapest:
		byPrice = " ORDER BY o.price IS NULL, o.price, o.position"
	case index.Dearest:
		byPrice = " ORDER BY o.price IS NULL, o.price DESC, o.position"
	}
	o.and("o.listing = l.id")
	one := "(SELECT %s FROM offer o WHERE " + o.String() + byPrice + " LIMIT 1)"
	distance := "0.0"
	x.add(o.args...)
	x.add(o.args...)
	if q.Near != nil {
		distance = km
		x.add(q.Near.Lat, q.Near.Lat, q.Near.Lon)
	}
	w := listingsOf(q, words)
	x.add(w.args...)
	inner := fmt.Sprintf("SELECT l.*, %s AS offer, %s AS price, %s AS km FROM listing l WHERE %s",
		fmt.Sprintf(one, "o.position"), fmt.Sprintf(one, "o.price"), distance, w.String())
	outer, order := x.order()
	x.add(x.limit() + 1)
	raw, join := "NULL", ""
	if q.Raw {
		raw, join = "d.raw", " JOIN document d ON d.id = l.document"
	}
	return fmt.Sprintf("SELECT %s, %s, l.offer, l.price, l.km FROM (%s) l%s WHERE l.offer IS NOT NULL%s ORDER BY %s LIMIT ?",
		columns, raw, inner, join, outer, order)
}

// order is the order of the answer, and what it says of the page after a mark.
func (x *asking) order() (after, order string) {
	if n := x.q.Near; n != nil && n.Km > 0 {
		after += " AND l.km <= ?"
		x.add(n.Km)
	}
	m := x.q.After
	switch x.q.Order {
	case index.Cheapest, index.Dearest:
		asc, newer := ">", "<"
		if order = "l.price IS NULL, l.price, l.rank DESC"; x.q.Order == index.Dearest {
			order, asc, newer = "l.price IS NULL, l.price DESC, CASE WHEN l.price IS NULL THEN -l.rank ELSE l.rank END", "<", ">"
		}
		switch {
		case m != nil && m.Price == nil:
			after += " AND l.price IS NULL AND l.rank < ?"
			x.add(m.Rank)
		case m != nil:
			after += " AND (l.price IS NULL OR l.price " + asc + " ? OR l.price = ? AND l.rank " + newer + " ?)"
			x.add(m.Price[:], m.Price[:], m.Rank)
		}
		return after, order
	case index.Nearest:
		if m != nil {
			after += " AND (l.km > ? OR l.km = ? AND l.rank < ?)"
			x.add(m.Km, m.Km, m.Rank)
		}
		return after, "l.km, l.rank DESC"
	}
	if m != nil {
		after += " AND l.rank < ?"
		x.add(m.Rank)
	}
	return after, "l.rank DESC"
}

func (x *asking) limit() int { return page(x.q.Limit) }

// page makes an answer of one listing more than it has room for.
func (x *asking) page(found []priced) index.Page {
	var p index.Page
	for _, f := range found[:min(len(found), x.limit())] {
		p.Found = append(p.Found, f.Found)
	}
	if len(found) <= len(p.Found) {
		return p
	}
	last := found[len(p.Found)-1]
	p.Next = &index.Mark{Rank: last.Rank}
	switch x.q.Order {
	case index.Cheapest, index.Dearest:
		p.Next.Price = last.price
	case index.Nearest:
		p.Next.Km = last.Km
	}
	return p
}

// listingsOf are the conditions that a listing itself must meet.
func listingsOf(q index.Query, words string) (w where) {
	w.and("l.status = 'live'")
	if words != "" {
		w.and("l.id IN (SELECT rowid FROM words WHERE words MATCH ?)", words)
	}
	if q.Owner != nil {
		w.and("l.owner = ?", q.Owner[:])
	}
	if q.State != "" {
		w.and("l.state = ?", string(q.State))
	}
	if !q.Since.IsZero() {
		w.and("l.rank >= ?", index.FirstRank(q.Since))
	}
	if b := q.Box; b != nil {
		w.and("l.lat BETWEEN ? AND ?", b.South, b.North)
		if b.West <= b.East {
			w.and("l.lon BETWEEN ? AND ?", b.West, b.East)
		} else {
			w.and("(l.lon >= ? OR l.lon <= ?)", b.West, b.East)
		}
	}
	if q.Near != nil {
		w.and("l.lat IS NOT NULL")
	}
	return w
}

// offers are the conditions that one offer of a listing must meet.
func offers(q index.Query) (o where) {
	for column, values := range map[string][]string{"o.data_type": q.DataTypes, "o.kind": q.Kinds, "o.unit": q.Units} {
		if len(values) == 0 {
			continue
		}
		o.and(column + " IN (?" + strings.Repeat(", ?", len(values)-1) + ")")
		for _, v := range values {
			o.args = append(o.args, v)
		}
	}
	if q.MinPrice != nil {
		o.and("o.price >= ?", q.MinPrice[:])
	}
	if q.MaxPrice != nil {
		o.and("o.price <= ?", q.MaxPrice[:])
	}
	return o
}

// match is a text search in the language of FTS5: every word quoted and a prefix. Empty when there is no word.
func match(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	const most = 16
	for i, w := range words[:min(len(words), most)] {
		words[i] = `"` + w + `"*`
	}
	return strings.Join(words[:min(len(words), most)], " ")
}

// priced is a listing found with the price that gives it its place.
type priced struct {
	index.Found
	price *index.Price
}

func (s *Store) found(ctx context.Context, shown bool, text string, args ...any) ([]priced, error) {
	rows, err := s.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, "listings", func(rows *sql.Rows) (f priced, err error) {
		var raw, price []byte
		if f.Listing, err = scan(rows, &raw, &f.Offer, &price, &f.Km); err != nil {
			return f, err
		}
		f.Raw = raw
		if f.price, err = priceOf(price); err != nil {
			return f, err
		}
		f.Stream = f.Offers()[f.Offer].Name
		if !shown {
			return f, nil
		}
		if f.Shown, err = index.Show(f.Listing); err != nil {
			return f, err
		}
		f.Listing = &index.Listing{Rank: f.Rank, Account: f.Account, Raw: f.Raw}
		return f, nil
	})
}

func priceOf(b []byte) (*index.Price, error) {
	if b == nil {
		return nil, nil
	}
	if len(b) != len(index.Price{}) {
		return nil, fmt.Errorf("a price of %d bytes", len(b))
	}
	p := index.Price(b)
	return &p, nil
}

// Matching returns the live listings whose words match.
func (s *Store) Matching(ctx context.Context, text string, most int) (ranks []index.Rank, all bool, err error) {
	words := match(text)
	if words == "" {
		return nil, true, nil
	}
	rows, err := s.query(ctx, "SELECT l.rank FROM words w JOIN listing l ON l.id = w.rowid WHERE words MATCH ? LIMIT ?", words, most+1)
	if err != nil {
		return nil, false, fmt.Errorf("search words: %w", err)
	}
	ranks, err = collect(rows, "words", func(rows *sql.Rows) (r index.Rank, err error) { return r, rows.Scan(&r) })
	return ranks[:min(len(ranks), most)], len(ranks) <= most, err
}

var errFilter = errors.New("no such filter")

// legacyFields are the columns that the existing marketplace filters by.
var legacyFields = map[string]struct {
	column string
	price  bool
}{
	"data_type":    {"l.data_type", false},
	"location":     {"l.location", false},
	"price_access": {"l.price_access", true},
	"price_pin":    {"l.price_pin", true},
}

var legacyOps = map[string]string{"=": " = ?", "<": " < ?", ">": " > ?"}

// Legacy is Search in the form of the existing marketplace.
func (s *Store) Legacy(ctx context.Context, q index.LegacyQuery) ([]*index.Listing, error) {
	var w where
	w.and("l.status = 'live'")
	if q.Account != nil {
		w.and("l.account = ?", q.Account[:])
		return s.listings(ctx, "SELECT "+columns+" FROM listing l WHERE "+w.String(), w.args...)
	}
	for _, f := range q.Filters {
		field, known := legacyFields[f.Field]
		op, knownOp := legacyOps[f.Op]
		if !known || !knownOp {
			return nil, fmt.Errorf("search %.40q %.10q: %w", f.Field, f.Op, errFilter)
		}
		if field.price {
			w.and(field.column+op, f.Price[:])
		} else {
			w.and(field.column+op, f.Text)
		}
	}
	if q.Limit <= 0 {
		return nil, nil
	}
	return s.listings(ctx, "SELECT "+columns+" FROM listing l WHERE "+w.String()+" ORDER BY l.rank DESC LIMIT ? OFFSET ?",
		append(w.args, min(q.Limit, index.MaxLimit), max(q.Offset, 0))...)
}

func (s *Store) listings(ctx context.Context, q string, args ...any) ([]*index.Listing, error) {
	rows, err := s.query(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return collect(rows, "listings", func(rows *sql.Rows) (*index.Listing, error) { return scan(rows) })
}
