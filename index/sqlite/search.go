package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
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

const order = " ORDER BY l.updated DESC, l.account DESC"

// Search returns live listings, the last updated first.
//
// A search by words, place or owner starts there and looks at the offers of what it finds. One for offers alone walks the
// index of the most telling filter in the order of the answer, and takes of several matching offers of a listing the first. Only
// the listings of the answer are read whole.
func (s *Store) Search(ctx context.Context, q index.Query) ([]*index.Listing, error) {
	var w where
	words := match(q.Text)
	if words == "" && strings.TrimSpace(q.Text) != "" {
		return nil, nil // nothing but punctuation, which no word begins with
	}
	from, by, err := s.start(ctx, &w, q, words)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	if o := offers(q); o.conds != nil && by == "l" {
		w.and("EXISTS (SELECT 1 FROM offer o WHERE o.listing = l.id AND "+o.of("+o")+")", o.args...)
	}
	w.and("l.status = 'live'")
	if q.Owner != nil {
		w.and("l.owner = ?", q.Owner[:])
	}
	if q.State != "" {
		w.and("l.state = ?", string(q.State))
	}
	if q.Near != nil {
		near(&w, *q.Near)
	}
	if q.After != nil {
		w.and(fmt.Sprintf("(%[1]s.updated, %[1]s.account) < (?, ?)", by), q.After.UpdatedMilli, q.After.Account[:])
	}
	found := fmt.Sprintf("SELECT l.id AS id, %[1]s.updated AS updated, %[1]s.account AS account FROM %[2]s WHERE %[3]s ORDER BY %[1]s.updated DESC, %[1]s.account DESC LIMIT ?",
		by, from, w.String())
	more, raw := "", ""
	if q.Raw {
		more, raw = " JOIN document d ON d.id = l.document", ", d.raw"
	}
	text := fmt.Sprintf("SELECT %s%s FROM (%s) x CROSS JOIN listing l ON l.id = x.id%s ORDER BY x.updated DESC, x.account DESC", columns, raw, found, more)
	return s.listings(ctx, q.Raw, text, append(w.args, page(q.Limit))...)
}

// defaultFew is how many matches are rather sorted than looked for in the order of the answer.
const defaultFew = 2000

// start says which tables a search goes through, how, and which of them has the order of the answer: l the listings, o the offers, whose
// conditions it then adds to w. SQLite would now and then rather walk all listings.
func (s *Store) start(ctx context.Context, w *where, q index.Query, words string) (from, by string, err error) {
	o := offers(q)
	switch {
	case words != "":
		from, err = s.startWords(ctx, w, words)
		return from, "l", err
	case q.Near != nil:
		return "listing l INDEXED BY listing_place", "l", nil
	case q.Owner != nil:
		return "listing l INDEXED BY listing_owner", "l", nil
	case o.conds == nil:
		return "listing l INDEXED BY listing_updated", "l", nil
	}
	walked, err := s.offerIndex(ctx, q)
	w.and(o.of("o"), o.args...)
	w.and("NOT EXISTS (SELECT 1 FROM offer p WHERE p.listing = o.listing AND p.position < o.position AND "+o.of("+p")+")", o.args...)
	return "offer o INDEXED BY " + walked + " CROSS JOIN listing l ON l.id = o.listing", "o", err
}

// startWords takes the listings with rare words as they are, and walks all of them, the last updated first, for common words.
func (s *Store) startWords(ctx context.Context, w *where, words string) (from string, err error) {
	rows, err := s.query(ctx, "SELECT rowid FROM words WHERE words MATCH ? LIMIT ?", words, s.few+1)
	if err != nil {
		return "", err
	}
	ids, err := collect(rows, "words", func(rows *sql.Rows) (id int64, err error) { return id, rows.Scan(&id) })
	if err != nil {
		return "", err
	}
	if len(ids) > s.few {
		w.and("l.id IN (SELECT rowid FROM words WHERE words MATCH ?)", words)
		return "listing l INDEXED BY listing_updated", nil
	}
	list := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			list = append(list, ',')
		}
		list = strconv.AppendInt(list, id, 10)
	}
	w.and("l.id IN (SELECT value FROM json_each(?))", string(append(list, ']')))
	return "listing l NOT INDEXED", nil
}

// offers are the conditions that one offer of a listing must meet, each of a column without its table.
func offers(q index.Query) (o where) {
	for _, f := range []struct{ cond, value string }{
		{"data_type = ?", q.DataType}, {"kind = ?", q.Kind}, {"unit = ?", q.Unit},
	} {
		if f.value != "" {
			o.and(f.cond, f.value)
		}
	}
	if q.MinPrice != nil {
		o.and("price >= ?", q.MinPrice[:])
	}
	if q.MaxPrice != nil {
		o.and("price <= ?", q.MaxPrice[:])
	}
	return o
}

// of names the table of all conditions. A table with a + before it keeps SQLite from searching an index for them, where
// the listing is known already.
func (w *where) of(table string) string {
	return table + "." + strings.Join(w.conds, " AND "+table+".")
}

// offerIndex names the index that a search for offers walks.
func (s *Store) offerIndex(ctx context.Context, q index.Query) (string, error) {
	switch {
	case q.DataType != "":
		return "offer_data_type", nil
	case q.Unit != "":
		return "offer_unit", nil
	case q.MinPrice == nil && q.MaxPrice == nil:
		return "offer_updated", nil
	}
	prices := offers(index.Query{MinPrice: q.MinPrice, MaxPrice: q.MaxPrice})
	rows, err := s.query(ctx, "SELECT count(*) FROM (SELECT 1 FROM offer o INDEXED BY offer_price WHERE "+prices.of("o")+" LIMIT ?)", append(prices.args, s.few+1)...)
	if err != nil {
		return "", err
	}
	n, err := collect(rows, "prices", func(rows *sql.Rows) (n int, err error) { return n, rows.Scan(&n) })
	if err != nil || len(n) != 1 || n[0] > s.few {
		return "offer_updated", err
	}
	return "offer_price", nil
}

// earthKm is the mean radius of the earth.
const earthKm = 6371.0088

// near narrows to a circle: by a box that the index answers, then by the angle between the places.
func near(w *where, n index.Near) {
	reach := n.Km / earthKm * 180 / math.Pi // degrees of latitude
	w.and("l.lat BETWEEN ? AND ?", n.Lat-reach, n.Lat+reach)
	if widest := math.Abs(n.Lat) + reach; widest < 89 {
		// a meridian touches the circle at this many degrees of longitude
		side := math.Asin(math.Min(1, math.Sin(reach*math.Pi/180)/math.Cos(n.Lat*math.Pi/180))) * 180 / math.Pi
		box(w, n.Lon-side, n.Lon+side)
	}
	w.and(`sin(radians(l.lat)) * sin(radians(?)) + cos(radians(l.lat)) * cos(radians(?)) * cos(radians(l.lon - ?)) >= ?`,
		n.Lat, n.Lat, n.Lon, math.Cos(math.Min(n.Km/earthKm, math.Pi))-1e-15)
}

// box narrows to longitudes; past the date line it has two parts.
func box(w *where, west, east float64) {
	switch {
	case east-west >= 360:
	case west < -180:
		w.and("(l.lon >= ? OR l.lon <= ?)", west+360, east)
	case east > 180:
		w.and("(l.lon >= ? OR l.lon <= ?)", west, east-360)
	default:
		w.and("l.lon BETWEEN ? AND ?", west, east)
	}
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
		return s.listings(ctx, false, "SELECT "+columns+" FROM listing l WHERE "+w.String(), w.args...)
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
	return s.listings(ctx, false, "SELECT "+columns+" FROM listing l WHERE "+w.String()+order+" LIMIT ? OFFSET ?",
		append(w.args, min(q.Limit, index.MaxLimit), max(q.Offset, 0))...)
}

func (s *Store) listings(ctx context.Context, withRaw bool, q string, args ...any) ([]*index.Listing, error) {
	rows, err := s.query(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("search: %w", err)
	}
	return collect(rows, "listings", func(rows *sql.Rows) (*index.Listing, error) {
		if !withRaw {
			return scan(rows)
		}
		var raw []byte
		l, err := scan(rows, &raw)
		if err != nil {
			return nil, err
		}
		l.Raw = raw
		return l, nil
	})
}
