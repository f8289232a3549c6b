package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"iod/index"
	"iod/index/pack"
)

// table collects rows of a table as one array for each column.
type table struct {
	statement string
	columns   []any
	n         int
}

// write queues the statement with its arrays, if there are rows.
func (t *table) write(b *pgx.Batch) {
	if t.n > 0 {
		b.Queue(t.statement, t.columns...)
	}
}

// add appends to the arrays, which are given by pointers.
func add[T any](to *[]T, x T) { *to = append(*to, x) }

// flush sends what waits to be written.
func (x *tx) flush(ctx context.Context) error {
	var b pgx.Batch
	if err := x.queue(ctx, &b); err != nil {
		return err
	}
	return x.send(ctx, &b)
}

func (x *tx) send(ctx context.Context, b *pgx.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	if err := x.t.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

func (x *tx) queue(ctx context.Context, b *pgx.Batch) error {
	if err := x.queueDocuments(b); err != nil {
		return err
	}
	if err := x.queueListings(ctx, b); err != nil {
		return err
	}
	x.queueHistory(b)
	x.queueAsides(b)
	x.queueRights(b)
	return nil
}

func (x *tx) queueDocuments(b *pgx.Batch) error {
	var hashes, raws [][]byte
	for _, h := range x.docOrder {
		packed, err := pack.Pack(x.docs[h])
		if err != nil {
			return err
		}
		hashes, raws = append(hashes, h[:]), append(raws, packed)
	}
	t := table{"INSERT INTO document (hash, raw) SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING", []any{hashes, raws}, len(hashes)}
	t.write(b)
	x.docOrder = nil
	clear(x.docs)
	return nil
}

func orEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (x *tx) queueListings(ctx context.Context, b *pgx.Batch) error {
	var old []int64
	var rows listingRows
	var offers offerRows
	var said saidRows
	for _, h := range x.dirty {
		live := h.l.Status == index.Live
		if h.listed && (h.stale || !live) {
			old = append(old, int64(h.rank))
		}
		if live && (h.stale || !h.listed) {
			offers.add(h.l)
			said.add(h.l)
		}
		rows.add(h)
		h.written, h.listed, h.rank, h.stale, h.dirty = true, live, h.l.Rank, false, false
	}
	x.dirty = nil
	clear(x.left)
	combos, err := x.name(ctx, offers.combo)
	if err != nil {
		return err
	}
	if len(old) > 0 {
		b.Queue("DELETE FROM offer WHERE rank = ANY($1::bigint[])", old)
		b.Queue("DELETE FROM said WHERE rank = ANY($1::bigint[])", old)
	}
	for _, t := range []table{combos, rows.table(), offers.table(x.combos), said.table()} {
		t.write(b)
	}
	return nil
}

// combo is what an offer is of, as the columns have it.
type combo struct{ dataType, kind, unit string }

// name finds the ids of what offers are of, and gives ids to what is new, whose rows it returns.
func (x *tx) name(ctx context.Context, all []combo) (made table, err error) {
	var types, kinds, units []string
	for _, c := range all {
		if _, known := x.combos[c]; !known {
			x.combos[c] = 0
			types, kinds, units = append(types, c.dataType), append(kinds, c.kind), append(units, c.unit)
		}
	}
	if len(types) == 0 {
		return table{}, nil
	}
	rows, err := x.t.Query(ctx, `SELECT c.id, c.data_type, c.kind, c.unit FROM unnest($1::text[], $2::text[], $3::text[]) AS n (t, k, u)
		JOIN combo c ON c.data_type = n.t AND c.kind = n.k AND c.unit = n.u`, types, kinds, units)
	if err != nil {
		return table{}, fmt.Errorf("read what offers are of: %w", err)
	}
	var id int32
	var c combo
	if _, err := pgx.ForEachRow(rows, []any{&id, &c.dataType, &c.kind, &c.unit}, func() error { x.combos[c] = id; return nil }); err != nil {
		return table{}, fmt.Errorf("read what offers are of: %w", err)
	}
	var ids []int32
	var newTypes, newKinds, newUnits []string
	for i := range types {
		c := combo{types[i], kinds[i], units[i]}
		if x.combos[c] != 0 {
			continue
		}
		x.combo++
		x.combos[c] = x.combo
		ids, newTypes, newKinds, newUnits = append(ids, x.combo), append(newTypes, c.dataType), append(newKinds, c.kind), append(newUnits, c.unit)
	}
	return table{"INSERT INTO combo (id, data_type, kind, unit) SELECT * FROM unnest($1::integer[], $2::text[], $3::text[], $4::text[])",
		[]any{ids, newTypes, newKinds, newUnits}, len(ids)}, nil
}

type listingRows struct {
	rank, expires, updated                     []int64
	live                                       []bool
	account, owner, document, access, pin, all [][]byte
	dataType, location                         []string
}

func (r *listingRows) add(h *held) {
	l := h.l
	d := &l.Device
	add(&r.rank, int64(l.Rank))
	add(&r.expires, int64(l.Expires))
	add(&r.updated, milli(l.Updated.Time))
	add(&r.live, l.Status == index.Live)
	add(&r.account, l.Account[:])
	add(&r.owner, blob(l.Owner()))
	add(&r.document, h.doc[:])
	add(&r.dataType, column(d.DataType))
	add(&r.location, column(d.Location))
	add(&r.access, priceColumn(d.PriceAccess))
	add(&r.pin, priceColumn(d.PricePin))
	add(&r.all, h.body)
}

// priceColumn is a price as the existing marketplace understands it: none is zero.
func priceColumn(s string) []byte {
	p, err := index.ParsePrice(s)
	if err != nil {
		p = index.Price{}
	}
	return legacyPrice(p)
}

func legacyPrice(p index.Price) []byte {
	if p == (index.Price{}) {
		return []byte{}
	}
	return p[:]
}

func (r *listingRows) table() table {
	return table{`INSERT INTO listing (rank, expires, updated, live, account, owner, document, data_type, location, price_access, price_pin, body)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::bytea[], $6::bytea[], $7::bytea[], $8::text[], $9::text[], $10::bytea[],
			$11::bytea[], $12::bytea[])
		ON CONFLICT (account) DO UPDATE SET rank = EXCLUDED.rank, expires = EXCLUDED.expires, updated = EXCLUDED.updated, live = EXCLUDED.live,
			owner = EXCLUDED.owner, document = EXCLUDED.document, data_type = EXCLUDED.data_type, location = EXCLUDED.location,
			price_access = EXCLUDED.price_access, price_pin = EXCLUDED.price_pin, body = EXCLUDED.body`,
		[]any{r.rank, r.expires, r.updated, r.live, r.account, r.owner, r.document, r.dataType, r.location, r.access, r.pin, r.all}, len(r.rank)}
}

type offerRows struct {
	rank            []int64
	lat, lon        []*float64
	cell            []*int64
	combo           []combo
	position, state []int16
	price           [][]byte
}

func (r *offerRows) add(l *index.Listing) {
	var lat, lon *float64
	var cell *int64
	if a, b, ok := l.Place(); ok {
		lat, lon, cell = &a, &b, ptr(cellOf(a, b))
	}
	for i, o := range l.Offers() {
		var price []byte
		if o.Price != nil {
			price = o.Price[:]
		}
		add(&r.rank, int64(l.Rank))
		add(&r.lat, lat)
		add(&r.lon, lon)
		add(&r.cell, cell)
		add(&r.combo, combo{column(o.DataType), column(o.Kind), column(o.Unit)})
		add(&r.position, int16(-i))
		add(&r.state, int16(code(states, l.State)))
		add(&r.price, price)
	}
}

func (r *offerRows) table(ids map[combo]int32) table {
	combos := make([]int32, len(r.combo))
	for i, c := range r.combo {
		combos[i] = ids[c]
	}
	return table{`INSERT INTO offer (rank, lat, lon, cell, combo, position, state, price)
		SELECT * FROM unnest($1::bigint[], $2::float8[], $3::float8[], $4::bigint[], $5::integer[], $6::smallint[], $7::smallint[], $8::bytea[])`,
		[]any{r.rank, r.lat, r.lon, r.cell, combos, r.position, r.state, r.price}, len(r.rank)}
}

type saidRows struct {
	rank  []int64
	words []string
}

func (r *saidRows) add(l *index.Listing) {
	add(&r.rank, int64(l.Rank))
	add(&r.words, strings.Join(index.Terms(l.Words()), " "))
}

func (r *saidRows) table() table {
	// The array is of text: terms are letters and numbers only, so that separated by spaces they are a tsvector's text.
	return table{"INSERT INTO said (rank, words) SELECT r, w::tsvector FROM unnest($1::bigint[], $2::text[]) AS u (r, w)", []any{r.rank, r.words}, len(r.rank)}
}

func (x *tx) queueHistory(b *pgx.Batch) {
	var ids, sequences []int64
	var acts, sts []int16
	var accounts, whos, docs, ats [][]byte
	for _, e := range x.history {
		add(&ids, e.id)
		add(&sequences, int64(e.Sequence))
		add(&acts, int16(code(actions, e.Action)))
		add(&sts, int16(code(states, e.State)))
		add(&accounts, e.Account[:])
		who := blob(e.Who)
		if e.Who != nil && *e.Who == e.Account {
			who = []byte{}
		}
		add(&whos, who)
		add(&docs, e.doc)
		add(&ats, encodePoint(e.At))
	}
	t := table{`INSERT INTO history (id, sequence, action, state, account, who, document, at)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::smallint[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bytea[])`,
		[]any{ids, sequences, acts, sts, accounts, whos, docs, ats}, len(ids)}
	t.write(b)
	x.history = nil
}

func (x *tx) queueAsides(b *pgx.Batch) {
	var ids, sizes []int64
	var accounts, whos, raws, ats [][]byte
	var reasons []string
	for _, a := range x.asides {
		add(&ids, a.id)
		add(&sizes, int64(a.Size))
		add(&accounts, blob(a.Account))
		add(&whos, blob(a.Who))
		add(&reasons, column(a.Reason))
		add(&raws, orEmpty(a.Raw))
		add(&ats, encodePoint(a.At))
	}
	t := table{`INSERT INTO set_aside (id, size, account, who, reason, raw, at)
		SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[], $5::text[], $6::bytea[], $7::bytea[])`,
		[]any{ids, sizes, accounts, whos, reasons, raws, ats}, len(ids)}
	t.write(b)
	x.asides = nil
}

// finish sends what waits, and with it where the transaction leaves the index.
func (x *tx) finish(ctx context.Context) error {
	var b pgx.Batch
	if err := x.queue(ctx, &b); err != nil {
		return err
	}
	b.Queue(`UPDATE progress SET change = $1, aside = $2, deed = $3, owner = $4, live = $5, verified = $6, ended = $7, set_aside = $8, combo = $9`,
		x.change, x.aside, x.deed, x.owner, x.live, x.verified, x.ended, x.setAside, x.combo)
	if m := x.moved; m != nil {
		b.Queue("UPDATE progress SET number = $1, hash = $2, head = $3, committed = $4", m.now.Number, m.now.Hash[:], m.head, x.s.now().UnixMilli())
		var numbers []int64
		var hashes [][]byte
		for i := range x.anchors {
			numbers, hashes = append(numbers, int64(x.anchors[i].Number)), append(hashes, x.anchors[i].Hash[:])
		}
		b.Queue("INSERT INTO anchor (number, hash) SELECT * FROM unnest($1::bigint[], $2::bytea[]) ON CONFLICT (number) DO UPDATE SET hash = EXCLUDED.hash", numbers, hashes)
		b.Queue(`DELETE FROM anchor WHERE number <= $1::bigint - $2::bigint AND (number % $2::bigint > 0 OR number <= $1::bigint - $3::bigint)
			AND (number % $3::bigint > 0 OR number <= $1::bigint - $4::bigint)`,
			int64(m.now.Number), int64(index.Anchors), int64(index.Anchors*index.Anchors), int64(index.Anchors*index.Anchors*index.Anchors))
	}
	b.Queue("SELECT pg_notify($1, '')", channel)
	return x.send(ctx, &b)
}
