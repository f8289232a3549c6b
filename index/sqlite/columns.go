package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"iod/document"
	"iod/index"
	"iod/key"
)

// columnsOf are what scanColumns reads of a listing l with an offer o; without one when it is not live.
const columnsOf = `l.rank, l.account, l.status, o.lat, o.lon, l.verified, w.account, o.position, t.text, k.text, u.text, o.price`

const columnsFrom = `FROM listing l LEFT JOIN owner w ON w.id = l.owner LEFT JOIN offer o ON o.rank = l.rank
	LEFT JOIN word t ON t.id = o.data_type LEFT JOIN word k ON k.id = o.kind LEFT JOIN word u ON u.id = o.unit`

// Columns yields every live listing.
func (s *Store) Columns(ctx context.Context, after index.Rank) iter.Seq2[index.Row, error] {
	return func(yield func(index.Row, error) bool) {
		stopped := false
		err := s.view(ctx, func(v view) error {
			return v.columns(ctx, after, func(r index.Row) bool {
				stopped = !yield(r, nil)
				return !stopped
			})
		})
		if err != nil && !stopped {
			yield(index.Row{}, fmt.Errorf("read columns: %w", err))
		}
	}
}

func (v view) columns(ctx context.Context, after index.Rank, yield func(index.Row) bool) error {
	words, err := v.vocabulary(ctx)
	if err != nil {
		return err
	}
	rows, err := v.query(ctx, "SELECT "+columnsOf+", s.terms "+columnsFrom+" LEFT JOIN said s ON s.rank = l.rank AND o.position = 0"+
		" WHERE l.rank > ? AND l.status = 'live' ORDER BY l.rank, o.position", after)
	if err != nil {
		return err
	}
	defer rows.Close()
	var last index.Row
	for rows.Next() {
		var terms sql.RawBytes
		r, err := scanColumns(rows, &terms)
		if err != nil {
			return err
		}
		if r.Account == last.Account {
			last.Offers = append(last.Offers, r.Offers...)
			continue
		}
		if last.Live && !yield(last) {
			return nil
		}
		last = r
		if last.Words, err = words.of(terms); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if last.Live {
		yield(last)
	}
	return nil
}

// vocabulary are all words as rows have them, most of which are alike: the numbers of texts by the numbers of words.
type vocabulary struct {
	texts []string
	text  []uint32 // by number
}

func (v view) vocabulary(ctx context.Context) (*vocabulary, error) {
	rows, err := v.query(ctx, "SELECT number, text FROM term")
	if err != nil {
		return nil, fmt.Errorf("read words: %w", err)
	}
	defer rows.Close()
	all, known := &vocabulary{texts: []string{""}}, map[string]uint32{}
	for rows.Next() {
		var number int64
		var text sql.RawBytes
		if err := rows.Scan(&number, &text); err != nil {
			return nil, fmt.Errorf("read words: %w", err)
		}
		if number < 0 || number > 1<<31 {
			return nil, errNumber
		}
		if missing := int(number) + 1 - len(all.text); missing > 0 {
			all.text = append(all.text, make([]uint32, missing)...)
		}
		brief := string(text)
		if strings.HasSuffix(brief, cutMark) {
			brief = brief[:index.BriefHead] + index.BriefMark
		}
		i, ok := known[brief]
		if !ok {
			i = uint32(len(all.texts))
			all.texts, known[brief] = append(all.texts, brief), i
		}
		all.text[number] = i
	}
	return all, rows.Err()
}

var errNumber = errors.New("a word has a number that none has")

// of are the words of a packed set of numbers.
func (x *vocabulary) of(packed []byte) (words []string, err error) {
	for last := uint64(0); len(packed) > 0; {
		diff, size := binary.Uvarint(packed)
		if size <= 0 {
			return nil, errNumber
		}
		packed = packed[size:]
		if last += diff; last >= uint64(len(x.text)) {
			return nil, errNumber
		}
		w := x.texts[x.text[last]]
		if !strings.HasSuffix(w, cutMark) || !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return words, nil
}

// Rows returns the columns of some listings.
func (s *Store) Rows(ctx context.Context, accounts []key.AccountID) ([]index.Row, error) {
	var all []index.Row
	err := s.view(ctx, func(v view) error {
		for _, a := range accounts {
			parts, err := ask(ctx, v, "columns", func(rows *sql.Rows) (index.Row, error) { return scanColumns(rows) },
				"SELECT "+columnsOf+" "+columnsFrom+" WHERE l.account = ? ORDER BY o.position", a[:])
			if err != nil {
				return err
			}
			if len(parts) == 0 {
				continue
			}
			r := parts[0]
			for _, p := range parts[1:] {
				r.Offers = append(r.Offers, p.Offers...)
			}
			if r.Words, err = v.wordsOf(ctx, &r); err != nil {
				return err
			}
			all = append(all, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read columns of listings: %w", err)
	}
	return all, nil
}

// wordsOf are the words of a row's listing.
func (v view) wordsOf(ctx context.Context, r *index.Row) ([]string, error) {
	if !r.Live {
		return nil, nil
	}
	listings, err := ask(ctx, v, "words", func(rows *sql.Rows) (*index.Listing, error) { return scan(rows) }, "SELECT "+columns+" FROM listing l WHERE l.rank = ?", r.Rank)
	if err != nil || len(listings) == 0 {
		return nil, err
	}
	return index.Briefs(listings[0].Words()), nil
}

// scanColumns reads a row, and what follows columnsOf into more.
func scanColumns(rows *sql.Rows, more ...any) (r index.Row, err error) {
	var (
		account, owner, price []byte
		status                string
		verified              bool
		lat, lon, position    sql.NullInt64
		dataType, kind, unit  sql.NullString
	)
	err = rows.Scan(append([]any{&r.Rank, &account, &status, &lat, &lon, &verified, &owner, &position, &dataType, &kind, &unit, &price}, more...)...)
	if err != nil {
		return r, err
	}
	a, err := accountOf(account)
	if err != nil {
		return r, err
	}
	if r.Owner, err = accountOf(owner); err != nil {
		return r, err
	}
	r.Account, r.Live, r.State = *a, index.Status(status) == index.Live, document.Unverified
	if verified {
		r.State = document.Verified
	}
	r.Lat, r.Lon, r.Placed = float64(lat.Int64)/1e7, float64(lon.Int64)/1e7, lat.Valid
	if ms := r.Rank.Milli(); ms != 0 {
		r.Updated = time.UnixMilli(ms).UTC()
	}
	if !position.Valid {
		return r, nil
	}
	o := index.Offer{Kind: kind.String, DataType: dataType.String, Unit: unit.String}
	if o.Price, err = unpackPrice(price); err != nil {
		return r, err
	}
	r.Offers = []index.Offer{o}
	return r, nil
}
