package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"iod/index"
	"iod/key"
)

// The bounds of what is known of the listings as a whole.
const (
	sampleSize  = 2000 // listings, about
	sampleFresh = 15 * time.Second
)

// sampler keeps a sample of the live listings, by which searches reckon how many match what.
type sampler struct {
	now     atomic.Pointer[sample]
	mu      sync.Mutex // held by whoever takes the first one
	renewed atomic.Bool
}

// sample is some of the live listings. It does not change.
type sample struct {
	taken    time.Time
	scale    float64 // live listings to each one of the sample
	listings []sampled
	offers   []sampledOffer
	names    map[string]int32 // types, kinds and units of the sample
	words    []string         // sorted
	having   [][]int32        // by word: the listings that have it, ascending
}

type sampled struct {
	rank       index.Rank
	lat, lon   float64
	placed     bool
	state      int16
	owner      key.AccountID
	owned      bool
	first, end int // offers[first:end]
}

type sampledOffer struct {
	dataType, kind, unit int32
	price                index.Price
	priced               bool
}

// sampled returns a sample that is not much too old. One search waits for the first; later ones are taken beside them.
func (s *Store) sampled(ctx context.Context) (*sample, error) {
	p := s.sample.now.Load()
	if p != nil {
		if s.now().Sub(p.taken) > sampleFresh && s.sample.renewed.CompareAndSwap(false, true) {
			if !s.begin() {
				return p, nil
			}
			go func() {
				defer s.busy.Done()
				defer s.sample.renewed.Store(false)
				if fresh, err := s.takeSample(s.closed); err == nil { // else the old one does for now
					s.sample.now.Store(fresh)
				}
			}()
		}
		return p, nil
	}
	s.sample.mu.Lock()
	defer s.sample.mu.Unlock()
	if p := s.sample.now.Load(); p != nil {
		return p, nil
	}
	p, err := s.takeSample(ctx)
	if err != nil {
		return nil, err
	}
	s.sample.now.Store(p)
	return p, nil
}

const sampleQuery = `SELECT o.rank, o.lat, o.lon, o.state, l.owner, o.data_type, o.kind, o.unit, o.price, CASE WHEN o.position = 0 THEN t.words END
	FROM (SELECT t.rank, tsvector_to_array(t.words) AS words FROM said t TABLESAMPLE SYSTEM ($1)) t
	JOIN offer o ON o.rank = t.rank JOIN listing l ON l.rank = t.rank ORDER BY o.rank, o.position DESC`

func (s *Store) takeSample(ctx context.Context) (*sample, error) {
	st, err := s.State(ctx)
	if err != nil {
		return nil, err
	}
	percent := 100.0
	if st.Live > 2*sampleSize {
		percent = 100 * sampleSize / float64(st.Live)
	}
	p := &sample{taken: s.now(), names: map[string]int32{}, scale: 1}
	words := map[string][]int32{}
	all, err := rows(ctx, s, p.row, sampleQuery, percent)
	if err != nil {
		return nil, fmt.Errorf("take a sample: %w", err)
	}
	for _, r := range all {
		if n := len(p.listings); n == 0 || p.listings[n-1].rank != r.rank {
			p.listings = append(p.listings, r.sampled)
			for _, w := range r.words {
				words[w] = append(words[w], int32(n))
			}
		}
		p.offers = append(p.offers, r.offer)
		l := &p.listings[len(p.listings)-1]
		if l.end == 0 {
			l.first = len(p.offers) - 1
		}
		l.end = len(p.offers)
	}
	if n := len(p.listings); n > 0 {
		p.scale = max(float64(st.Live)/float64(n), 1)
	}
	for w := range words {
		p.words = append(p.words, w)
	}
	slices.Sort(p.words)
	for _, w := range p.words {
		p.having = append(p.having, words[w])
	}
	return p, nil
}

type sampleRow struct {
	sampled
	offer sampledOffer
	words []string
}

func (p *sample) row(row pgx.CollectableRow) (r sampleRow, err error) {
	var lat, lon *float64
	var owner, price []byte
	var dataType, kind, unit string
	if err := row.Scan(&r.rank, &lat, &lon, &r.state, &owner, &dataType, &kind, &unit, &price, &r.words); err != nil {
		return r, err
	}
	if lat != nil && lon != nil {
		r.lat, r.lon, r.placed = *lat, *lon, true
	}
	if len(owner) == len(r.owner) {
		r.owner, r.owned = key.AccountID(owner), true
	}
	if len(price) == len(r.offer.price) {
		r.offer.price, r.offer.priced = index.Price(price), true
	}
	r.offer.dataType, r.offer.kind, r.offer.unit = p.name(dataType), p.name(kind), p.name(unit)
	return r, nil
}

func (p *sample) name(s string) int32 {
	n, ok := p.names[s]
	if !ok {
		n = int32(len(p.names))
		p.names[s] = n
	}
	return n
}

// none is the name of what no offer of the sample has.
const none = -1

// known are the names of some values; nil when there is nothing to narrow.
func (p *sample) known(values []string) []int32 {
	if len(values) == 0 {
		return nil
	}
	all := make([]int32, len(values))
	for i, v := range values {
		if n, ok := p.names[column(v)]; ok {
			all[i] = n
		} else {
			all[i] = none
		}
	}
	return all
}

// saying marks the listings that have a word beginning with each of the terms; nil when there are no terms.
func (p *sample) saying(terms []string) []bool {
	if len(terms) == 0 {
		return nil
	}
	count := make([]int, len(p.listings))
	for i, t := range terms {
		from, _ := slices.BinarySearch(p.words, t)
		for w := from; w < len(p.words) && strings.HasPrefix(p.words[w], t); w++ {
			for _, l := range p.having[w] {
				if count[l] == i {
					count[l]++
				}
			}
		}
	}
	all := make([]bool, len(count))
	for i, n := range count {
		all[i] = n == len(terms)
	}
	return all
}

// guess is about how many there are: rows of an index that a way through it would touch, and listings that match all of a search.
type guess struct {
	all, types, kinds, units, prices, owner, words, place float64
	matching                                              float64
	scale                                                 float64   // listings for each one of the sample
	unpriced                                              float64   // of matching: none of whose matching offers has a price
	distances                                             []float64 // of those of the sample that match, beyond the mark; ascending
	near                                                  []float64 // of all that are placed
}

// guess reckons a search, whose terms are words.
func (p *sample) guess(q *index.Query, words []string) guess {
	g := guess{scale: p.scale}
	types, kinds, units, said := p.known(q.DataTypes), p.known(q.Kinds), p.known(q.Units), p.saying(words)
	since, state := index.FirstRank(q.Since), int16(code(states, q.State))
	for i := range p.listings {
		l := &p.listings[i]
		if l.rank < since || q.After != nil && q.Order == index.Newest && l.rank >= q.After.Rank {
			continue
		}
		km, placed := within(q, l)
		owned := q.Owner == nil || l.owned && l.owner == *q.Owner
		says := said == nil || said[i]
		rest := owned && says && placed && (q.State == "" || l.state == state)
		matches, priced := false, false
		for _, o := range p.offers[l.first:l.end] {
			isType, isKind, isUnit, isPrice := types == nil || slices.Contains(types, o.dataType), kinds == nil || slices.Contains(kinds, o.kind),
				units == nil || slices.Contains(units, o.unit), costs(q, &o)
			g.all++
			g.types += one(isType)
			g.kinds += one(isKind)
			g.units += one(isUnit)
			g.prices += one(isPrice)
			if isType && isKind && isUnit && isPrice {
				matches, priced = true, priced || o.priced
			}
		}
		g.owner += one(owned)
		g.words += one(says)
		g.place += one(placed)
		if q.Near != nil && l.placed {
			g.near = append(g.near, km)
		}
		if !rest || !matches {
			continue
		}
		g.matching++
		g.unpriced += one(!priced)
		if q.Near != nil && (q.After == nil || km > q.After.Km) {
			g.distances = append(g.distances, km)
		}
	}
	slices.Sort(g.distances)
	slices.Sort(g.near)
	for _, n := range []*float64{&g.all, &g.types, &g.kinds, &g.units, &g.prices, &g.owner, &g.words, &g.place, &g.matching, &g.unpriced} {
		*n = max(*n, 0.5) * p.scale // what the sample does not show there may be all the same
	}
	return g
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// within tells whether a listing lies where the search looks, and its distance from Near.
func within(q *index.Query, l *sampled) (km float64, ok bool) {
	if q.Box == nil && q.Near == nil {
		return 0, true
	}
	if !l.placed {
		return 0, false
	}
	if b := q.Box; b != nil {
		if l.lat < b.South || l.lat > b.North {
			return 0, false
		}
		if b.West <= b.East && (l.lon < b.West || l.lon > b.East) || b.West > b.East && l.lon < b.West && l.lon > b.East {
			return 0, false
		}
	}
	if n := q.Near; n != nil {
		km = index.Distance(n.Lat, n.Lon, l.lat, l.lon)
		return km, n.Km == 0 || km <= n.Km
	}
	return 0, true
}

func costs(q *index.Query, o *sampledOffer) bool {
	if q.MinPrice == nil && q.MaxPrice == nil {
		return true
	}
	return o.priced && (q.MinPrice == nil || string(o.price[:]) >= string(q.MinPrice[:])) && (q.MaxPrice == nil || string(o.price[:]) <= string(q.MaxPrice[:]))
}
