package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
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
func (s *Store) Search(ctx context.Context, q index.Query) ([]*index.Listing, error) {
	var w where
	w.and("l.status = 'live'")
	if words := match(q.Text); words != "" {
		w.and("l.id IN (SELECT rowid FROM words WHERE words MATCH ?)", words)
	} else if strings.TrimSpace(q.Text) != "" {
		return nil, nil // nothing but punctuation, which no word begins with
	}
	offers(&w, q)
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
		w.and("(l.updated, l.account) < (?, ?)", q.After.UpdatedMilli, q.After.Account[:])
	}
	from, raw := " FROM listing l WHERE ", ""
	if q.Raw {
		from, raw = " FROM listing l JOIN document d ON d.id = l.document WHERE ", ", d.raw"
	}
	return s.listings(ctx, q.Raw, "SELECT "+columns+raw+from+w.String()+order+" LIMIT ?", append(w.args, page(q.Limit))...)
}

// offers narrows to listings with an offer that has all that is asked.
func offers(w *where, q index.Query) {
	var o where
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
	if len(o.conds) > 0 {
		w.and("l.id IN (SELECT listing FROM offer WHERE "+o.String()+")", o.args...)
	}
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
	rows, err := s.read.QueryContext(ctx, q, args...)
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
