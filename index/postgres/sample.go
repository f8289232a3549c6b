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
	maxCombos   = 10_000
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
	names    map[string]int32 // types, kinds and units
	combos   []sampledCombo   // all that there are, but for a flood of them
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
	sampledCombo
	price  index.Price
	priced bool
}

type sampledCombo struct{ dataType, kind, unit int32 }

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

const sampleQuery = `SELECT o.rank, o.lat, o.lon, o.state, l.owner, c.data_type, c.kind, c.unit, o.price, CASE WHEN o.position = 0 THEN t.words END
	FROM (SELECT t.rank, tsvector_to_array(t.words) AS words FROM said t TABLESAMPLE SYSTEM ($1)) t
	JOIN offer o ON o.rank = t.rank JOIN listing l ON l.rank = t.rank JOIN combo c ON c.id = o.combo ORDER BY o.rank, o.position DESC`

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
	p.combos, err = rows(ctx, s, func(row pgx.CollectableRow) (sampledCombo, error) {
		var dataType, kind, unit string
		err := row.Scan(&dataType, &kind, &unit)
		return sampledCombo{p.name(dataType), p.name(kind), p.name(unit)}, err
	}, "SELECT data_type, kind, unit FROM combo ORDER BY id LIMIT $1", maxCombos)
	if err != nil {
		return nil, fmt.Errorf("take a sample: %w", err)
	}
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

// saying counts of which listings each of the terms begins a word, and marks those of which all do; nil when there are no terms.
func (p *sample) saying(terms []string) (all []bool, each []int) {
	if len(terms) == 0 {
		return nil, nil
	}
	count := make([]int, len(p.listings))
	last := make([]int, len(p.listings)) // the term that was counted last, and one
	each = make([]int, len(terms))
	for i, t := range terms {
		from, _ := slices.BinarySearch(p.words, t)
		for w := from; w < len(p.words) && strings.HasPrefix(p.words[w], t); w++ {
			for _, l := range p.having[w] {
				if last[l] <= i {
					last[l] = i + 1
					count[l]++
					each[i]++
				}
			}
		}
	}
	all = make([]bool, len(count))
	for i, n := range count {
		all[i] = n == len(terms)
	}
	return all, each
}

// rarest are the terms that are not much more common than the rarest one; how many listings have that one comes with them.
func rarest(terms []string, each []int) (rare []string, n int) {
	if len(terms) == 0 {
		return nil, 0
	}
	n = slices.Min(each)
	for i, t := range terms {
		if each[i] <= 4*n+2 {
			rare = append(rare, t)
		}
	}
	return rare, n
}

// guess is about how many there are: rows of an index that a way through it would touch, and listings that match all of a search.
type guess struct {
	all, combos, prices, owner, words, place float64
	both                                     float64 // place and combos
	offers                                   float64 // combos and prices
	matching                                 float64
	unpriced                                 float64   // of matching: none of whose matching offers has a price
	scale                                    float64   // listings for each one of the sample
	streams                                  int       // how many of what offers are of match
	rare                                     []string  // those of the words to begin with
	near                                     []float64 // distances of those of the sample that are placed, beyond the mark; ascending
	nearOf                                   []float64 // and of those that have an offer of what is asked for
}

// guess reckons a search, whose terms are words.
func (p *sample) guess(q *index.Query, words []string) guess {
	g := guess{scale: p.scale}
	types, kinds, units := p.known(q.DataTypes), p.known(q.Kinds), p.known(q.Units)
	of := func(c sampledCombo) bool {
		return (types == nil || slices.Contains(types, c.dataType)) && (kinds == nil || slices.Contains(kinds, c.kind)) && (units == nil || slices.Contains(units, c.unit))
	}
	for _, c := range p.combos {
		if of(c) {
			g.streams++
		}
	}
	said, each := p.saying(words)
	var rare int
	g.rare, rare = rarest(words, each)
	since, state := index.FirstRank(q.Since), int16(code(states, q.State))
	for i := range p.listings {
		l := &p.listings[i]
		if l.rank < since || q.After != nil && q.Order == index.Newest && l.rank >= q.After.Rank {
			continue
		}
		km, placed := within(q, l)
		owned := q.Owner == nil || l.owned && l.owner == *q.Owner
		matches, priced, has := false, false, false
		for j := l.first; j < l.end; j++ {
			o := &p.offers[j]
			isCombo, isPrice := of(o.sampledCombo), costs(q, o)
			has = has || isCombo
			g.all++
			g.combos += one(isCombo)
			g.prices += one(isPrice)
			if isCombo && isPrice {
				g.offers++
				matches, priced = true, priced || o.priced
			}
		}
		g.owner += one(owned)
		g.place += one(placed)
		g.both += one(placed && has)
		if q.Near != nil && l.placed && (q.After == nil || km > q.After.Km) {
			if g.near = append(g.near, km); has {
				g.nearOf = append(g.nearOf, km)
			}
		}
		if matches && owned && placed && (said == nil || said[i]) && (q.State == "" || l.state == state) {
			g.matching++
			g.unpriced += one(!priced)
		}
	}
	slices.Sort(g.near)
	slices.Sort(g.nearOf)
	g.words = float64(rare)
	for _, n := range []*float64{&g.all, &g.combos, &g.prices, &g.owner, &g.words, &g.place, &g.both, &g.offers, &g.matching, &g.unpriced} {
		*n = max(*n, 0.5) * p.scale // what the sample does not show there may be all the same
	}
	if g.streams == 0 && len(p.combos) < maxCombos { // none, or but a new one
		g.combos, g.offers = 0, 0
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
