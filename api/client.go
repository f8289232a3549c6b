package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"iod/api/dialect"
	"iod/document"
	"iod/index"
	"iod/key"
)

// Client asks an index's API. What it returns is what the index says; Verify checks it.
type Client struct {
	Base string       // http:// or https:// URL of the server
	HTTP *http.Client // nil: a client with a time limit of 30 seconds
}

// maxAnswer bounds an answer, in bytes: a page of 500 of the largest documents would be more, a search asks for fewer.
const maxAnswer = 32 << 20

var defaultHTTP = &http.Client{Timeout: 30 * time.Second}

// Devices asks for one page of a search.
func (c *Client) Devices(ctx context.Context, q Query) (Page, error) {
	var p Page
	err := c.get(ctx, "/api/v1/devices", q.Values(), &p)
	return p, err
}

// All asks for all pages of a search, one after the other.
func (c *Client) All(ctx context.Context, q Query) iter.Seq2[Device, error] {
	return func(yield func(Device, error) bool) {
		for {
			p, err := c.Devices(ctx, q)
			if err != nil {
				yield(Device{}, err)
				return
			}
			for _, d := range p.Devices {
				if !yield(d, nil) {
					return
				}
			}
			if p.Next == "" || p.Next == q.After || len(p.Devices) == 0 {
				return
			}
			q.After = p.Next
		}
	}
}

// Device asks for one device: a DID, an address or 0x-hex. One that is not known is a *Problem with Status 404.
func (c *Client) Device(ctx context.Context, did string) (Detail, error) {
	var d Detail
	a, err := key.ParseAccount(did)
	if err != nil {
		return d, fmt.Errorf("ask for device %.100q: %w", did, err)
	}
	if err := c.get(ctx, "/api/v1/devices/"+a.DID(), nil, &d); err != nil {
		return d, err
	}
	if d.DID != a.DID() {
		return Detail{}, fmt.Errorf("ask for device %s: the index answers with another, %.100q", a.DID(), d.DID)
	}
	return d, nil
}

// History asks for a page of a device's history: lines with an id below before (0: the newest), at most limit (0: the server's).
func (c *Client) History(ctx context.Context, did string, before int64, limit int) (History, error) {
	var h History
	err := c.ofDevice(ctx, did, "/history", paging(before, limit), &h)
	return h, err
}

// Proof asks what verified a device.
func (c *Client) Proof(ctx context.Context, did string) (Proof, error) {
	var p Proof
	err := c.ofDevice(ctx, did, "/proof", nil, &p)
	return p, err
}

// Access asks who may use a device's streams; of a page from an offset on, at most limit (0: the server's).
func (c *Client) Access(ctx context.Context, did string, offset, limit int) (Access, error) {
	v := paging(0, limit)
	if offset > 0 {
		v.Set("offset", strconv.Itoa(offset))
	}
	var a Access
	err := c.ofDevice(ctx, did, "/access", v, &a)
	return a, err
}

// PendingOf asks what is not final yet; of one device, or of all when did is empty.
func (c *Client) PendingOf(ctx context.Context, did string) (Pending, error) {
	v := url.Values{}
	if did != "" {
		v.Set("did", did)
	}
	var p Pending
	err := c.get(ctx, "/api/v1/pending", v, &p)
	return p, err
}

// Facets asks what there is to choose from. Order, page and document of the query don't matter.
func (c *Client) Facets(ctx context.Context, q Query) (Facets, error) {
	q.Sort, q.Limit, q.After, q.Document = "", 0, "", false
	var f Facets
	err := c.get(ctx, "/api/v1/facets", q.Values(), &f)
	return f, err
}

// Stats asks for the index in numbers, of the newest days (0: the server's number of them).
func (c *Client) Stats(ctx context.Context, days int) (Stats, error) {
	v := url.Values{}
	if days > 0 {
		v.Set("days", strconv.Itoa(days))
	}
	var s Stats
	err := c.get(ctx, "/api/v1/stats", v, &s)
	return s, err
}

// Map asks for the clusters in a part of a map ("west,south,east,north"; empty: the world) at a zoom.
func (c *Client) Map(ctx context.Context, q Query, view string, zoom int) (Collection, error) {
	q.Sort, q.Limit, q.After, q.Document, q.Box = "", 0, "", false, view
	v := q.Values()
	v.Set("zoom", strconv.Itoa(zoom))
	var m Collection
	err := c.get(ctx, "/api/v1/map", v, &m)
	return m, err
}

// Resolve asks for a DID document, as a resolver does. One that cannot be resolved is an error that says why.
func (c *Client) Resolve(ctx context.Context, did string) (dialect.Resolution, error) {
	var r dialect.Resolution
	err := c.get(ctx, "/1.0/identifiers/"+did, nil, &r)
	return r, err
}

// ofDevice asks for something below a device's address.
func (c *Client) ofDevice(ctx context.Context, did, what string, q url.Values, into any) error {
	a, err := key.ParseAccount(did)
	if err != nil {
		return fmt.Errorf("ask for device %.100q: %w", did, err)
	}
	return c.get(ctx, "/api/v1/devices/"+a.DID()+what, q, into)
}

func paging(before int64, limit int) url.Values {
	v := url.Values{}
	if before > 0 {
		v.Set("before", strconv.FormatInt(before, 10))
	}
	if limit > 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return v
}

// Status asks how far the index is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.get(ctx, "/api/v1/status", nil, &s)
	return s, err
}

// Asides asks for a page of what is set aside: those with an id below before (0: the newest), at most limit (0: the server's).
func (c *Client) Asides(ctx context.Context, before int64, limit int) (Asides, error) {
	var a Asides
	err := c.get(ctx, "/api/v1/set-aside", paging(before, limit), &a)
	return a, err
}

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	if err := c.ask(ctx, path, q, into); err != nil {
		return fmt.Errorf("ask the index at %s: %w", redact(c.Base), err)
	}
	return nil
}

func (c *Client) ask(ctx context.Context, path string, q url.Values, into any) error {
	u, err := url.Parse(c.Base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errBase
	}
	u = u.JoinPath(path)
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	client := c.HTTP
	if client == nil {
		client = defaultHTTP
	}
	res, err := client.Do(req)
	if err != nil {
		return plainError(err)
	}
	defer res.Body.Close()
	body, err := readAnswer(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return problemOf(res.StatusCode, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("its answer is not of the known form: %w", err)
	}
	return nil
}

var errBase = errors.New("not an http:// or https:// URL")

// plainError leaves out the URL, which the caller names without its secrets.
func plainError(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// readAnswer reads an answer whole, within bounds.
func readAnswer(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read its answer: %w", err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("its answer has more than %d bytes", maxAnswer)
	}
	return body, nil
}

// problemOf reads an answer that is none: a problem, or the form in which a resolver tells of one.
func problemOf(status int, body []byte) *Problem {
	p := &Problem{}
	var r dialect.Resolution
	if json.Unmarshal(body, p) != nil {
		*p = Problem{}
	}
	if p.Detail == "" && json.Unmarshal(body, &r) == nil {
		p.Title, p.Detail = r.Result.Error, r.Result.Message
	}
	p.Status = status
	return p
}

// redact leaves out the user and password of a URL.
func redact(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "(unreadable URL)"
	}
	return u.Redacted()
}

// Finding is what the client itself finds of a device that an index told of.
type Finding struct {
	Verdict document.Verdict
	Device  Device   // from the document alone; what only the chain knows is as the index says
	Differs []string // the fields in which the index says something else than the document
}

// Verify reads and judges the document that came with the device, believing nothing else that the index says. The query must
// have asked for documents. What only the chain knows (signer, blocks, presence, validity) cannot be checked here: an index may
// withhold a newer document, but cannot make up a signed one.
func (d *Device) Verify() (Finding, error) {
	f, err := d.verify()
	if err != nil {
		return f, fmt.Errorf("verify %.100s: %w", d.DID, err)
	}
	return f, nil
}

func (d *Device) verify() (Finding, error) {
	a, err := key.ParseDID(d.DID)
	if err != nil {
		return Finding{}, err
	}
	digits, ok := strings.CutPrefix(d.Document, "0x")
	if !ok {
		return Finding{}, errors.New("the index sent no document")
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return Finding{}, fmt.Errorf("the document is not hex: %w", err)
	}
	doc, verdict, err := document.ReadDevice(a, document.DeviceAttribute, raw)
	if err != nil {
		return Finding{}, err
	}
	if err := index.Check(&doc); err != nil {
		return Finding{}, err
	}
	l := index.Listing{Account: a, Device: doc, State: verdict.State, Reason: verdict.Reason, Vouched: verdict.Vouched, Raw: raw, Expires: index.Never}
	own := deviceOf(&l)
	own.Status, own.Expires, own.First, own.Updated, own.Signer, own.Chain = d.Status, d.Expires, d.First, d.Updated, d.Signer, d.Chain
	own.Offer, own.Distance = d.Offer, d.Distance // of the search, not of the document
	return Finding{Verdict: verdict, Device: own, Differs: differing(own, *d)}, nil
}

// differing lists the JSON names of the fields that are not alike.
func differing(a, b Device) []string {
	var names []string
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		x, y := va.Field(i), vb.Field(i)
		if x.Kind() == reflect.Slice && x.Len() == 0 && y.Len() == 0 || reflect.DeepEqual(x.Interface(), y.Interface()) {
			continue
		}
		name, _, _ := strings.Cut(va.Type().Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
