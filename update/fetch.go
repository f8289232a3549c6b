package update

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Bounds of a download.
const (
	stallTime  = time.Minute // in which at least stallBytes must come
	stallBytes = 1 << 10
	headTime   = 30 * time.Second // until an answer begins
	spare      = 4 << 20          // bytes of the disk that are left to others
)

// trouble is why a fetch failed, by what is to be done about it.
type trouble int

const (
	again  trouble = iota // the network, or the server for now: soon again
	wrong                 // what is there is not what was named: asking again costs traffic and hardly helps
	noRoom                // on the disk
)

// fetchError is a failed fetch.
type fetchError struct {
	trouble trouble
	err     error
}

func (e *fetchError) Error() string { return e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }

func fail(t trouble, format string, args ...any) error {
	return &fetchError{t, fmt.Errorf(format, args...)}
}

// pause is how long to wait after the n-th failure in a row, n ≥ 1; dice in [0, 1) spreads a fleet.
func pause(t trouble, n int, dice float64) time.Duration {
	first, most := 2*time.Second, 10*time.Minute
	switch t {
	case wrong:
		first, most = 10*time.Minute, 24*time.Hour
	case noRoom:
		first, most = time.Minute, time.Hour
	}
	d := min(first<<min(n-1, 20), most)
	return d/2 + time.Duration(dice*float64(d))
}

// NewClient returns the client that versions are fetched with. now is the time by which certificates are judged; nil is this
// machine's clock.
func NewClient(now func() time.Time) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: headTime}).DialContext,
			TLSHandshakeTimeout:    headTime,
			ResponseHeaderTimeout:  headTime,
			DisableCompression:     true, // ranges are of the file's own bytes
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
			TLSClientConfig:        &tls.Config{Time: now, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			switch {
			case len(via) > mostRedirects:
				return fail(wrong, "more than %d redirects", mostRedirects)
			case r.URL.Scheme != "https" && (r.URL.Scheme != "http" || via[0].URL.Scheme == "https"):
				return fail(wrong, "a redirect leads from %s to %s", via[0].URL.Scheme, r.URL.Scheme)
			}
			return nil
		},
	}
}

// fetcher brings versions into a store.
type fetcher struct {
	client *http.Client
	stall  time.Duration
}

// fetch tries once to bring what is missing of a version, and makes it whole. progress is told what is there, and of how many
// bytes (0: not known).
func (f *fetcher) fetch(ctx context.Context, s *store, v *Version, progress func(done, total int64)) error {
	err := f.bring(ctx, s, v, progress)
	if err == nil {
		if err = s.keep(v.Sum); errors.Is(err, errSum) {
			err = fail(wrong, "%s is not the version that the manifest names: %w", v.source(), err)
		}
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		s.forget(v.Sum) // others need what is left
		err = fail(noRoom, "fetch %s: %w", v.source(), err)
	}
	return err
}

func (f *fetcher) bring(ctx context.Context, s *store, v *Version, progress func(done, total int64)) error {
	if err := s.disk.Make(s.dir + "/fetch"); err != nil {
		return fail(noRoom, "make a place for a version: %w", err)
	}
	part, size, err := s.disk.Append(s.part(v.Sum))
	if err != nil {
		return fail(noRoom, "make a place for a version: %w", err)
	}
	w := &receiver{file: part, size: size, most: v.most(), progress: progress}
	if v.Path != "" {
		err = f.copyFile(ctx, s, v, w)
	} else {
		err = f.download(ctx, s, v, w)
	}
	return errors.Join(err, part.Close())
}

// receiver writes what comes behind what is there.
type receiver struct {
	file        file
	size, total int64 // total 0: not known
	most        int64
	progress    func(done, total int64)
}

func (w *receiver) Write(b []byte) (int, error) {
	if w.size+int64(len(b)) > w.most {
		return 0, fail(wrong, "the version has more than %d bytes", w.most)
	}
	n, err := w.file.Write(b)
	w.size += int64(n)
	w.progress(w.size, w.total)
	return n, err
}

// from begins at an offset, which is 0 or what is there.
func (w *receiver) from(offset int64) error {
	if offset == w.size {
		return nil
	}
	w.size = 0
	return w.file.Truncate(0)
}

// expect notes how large the whole is, if that is known (≥ 0), and whether there is room.
func (w *receiver) expect(s *store, total int64) error {
	if total < 0 {
		return nil
	}
	if total > w.most {
		return fail(wrong, "the version has %d bytes, and may have %d", total, w.most)
	}
	w.total = total
	if free, err := s.disk.Free(s.dir); err == nil && free < uint64(total-min(w.size, total))+spare {
		return fail(noRoom, "the disk has %d bytes left for a version of %d: %w", free, total, syscall.ENOSPC)
	}
	return nil
}

// copyFile takes a version from a file of this machine.
func (f *fetcher) copyFile(ctx context.Context, s *store, v *Version, w *receiver) error {
	in, err := os.OpenFile(v.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return fail(wrong, "%w", err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return fail(wrong, "%s is not a file", v.Path)
	}
	if err := errors.Join(w.from(0), w.expect(s, info.Size())); err != nil {
		return err
	}
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(w, in, 1<<20)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return errors.Join(err, ctx.Err())
}

// download asks a server for what is missing.
func (f *fetcher) download(ctx context.Context, s *store, v *Version, w *receiver) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.URL, nil)
	if err != nil {
		return fail(wrong, "fetch %s: %w", v.source(), err)
	}
	offset := w.size
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		if tag, err := s.disk.Read(s.tag(v.Sum)); err == nil && len(tag) > 0 {
			r.Header.Set("If-Range", string(tag))
		}
	}
	answer, err := f.client.Do(r)
	if err != nil {
		var known *fetchError
		if errors.As(err, &known) {
			return known
		}
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err // less the URL, in which something may be secret
		}
		return fail(again, "fetch %s: %w", v.source(), err)
	}
	defer answer.Body.Close()
	done, err := begin(s, v, w, answer, offset)
	if err != nil || done {
		return err
	}
	return f.receive(cancel, ctx, v, w, answer.Body)
}

// begin reads the head of an answer and makes ready for its body. done says that there is nothing more to come.
func begin(s *store, v *Version, w *receiver, answer *http.Response, offset int64) (done bool, err error) {
	length := answer.ContentLength
	switch code := answer.StatusCode; {
	case code == http.StatusPartialContent:
		first, total, ok := contentRange(answer.Header.Get("Content-Range"))
		if !ok || first != offset || answer.Header.Get("Content-Encoding") != "" {
			return false, errors.Join(w.from(0), fail(again, "%s answers with another range than it was asked for", v.source()))
		}
		return false, w.expect(s, total)
	case code == http.StatusOK && answer.Header.Get("Content-Encoding") == "":
		if err := errors.Join(w.from(0), w.expect(s, length)); err != nil {
			return false, err
		}
		remember(s, v, answer.Header)
		return false, nil
	case code == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		if _, total, _ := contentRange(answer.Header.Get("Content-Range")); total == offset {
			return true, nil
		}
		return false, errors.Join(w.from(0), fail(again, "%s has less than what has come of it", v.source()))
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code >= 500:
		return false, fail(again, "%s answers %s", v.source(), answer.Status)
	default:
		return false, fail(wrong, "%s answers %s", v.source(), answer.Status)
	}
}

// remember keeps by what the server will know that the file is the same.
func remember(s *store, v *Version, h http.Header) {
	tag := h.Get("ETag")
	if strings.HasPrefix(tag, "W/") || tag == "" {
		tag = h.Get("Last-Modified")
	}
	if tag == "" || len(tag) > 1024 {
		s.disk.Remove(s.tag(v.Sum))
		return
	}
	s.replace(s.tag(v.Sum), func() ([]byte, error) { return []byte(tag), nil }) // without it, the sum tells
}

// contentRange reads "bytes 5-9/10" or "bytes */10". total is -1 when it is not said.
func contentRange(h string) (first, total int64, ok bool) {
	rest, ok := strings.CutPrefix(h, "bytes ")
	span, size, found := strings.Cut(rest, "/")
	if !ok || !found {
		return 0, -1, false
	}
	total = -1
	if n, err := strconv.ParseInt(size, 10, 64); err == nil && n >= 0 {
		total = n
	}
	from, _, found := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	return first, total, found && err == nil
}

// errStalled says that a server sends too little.
var errStalled = errors.New("the server has stopped sending")

// receive takes a body as long as it comes fast enough.
func (f *fetcher) receive(cancel context.CancelCauseFunc, ctx context.Context, v *Version, w *receiver, body io.Reader) error {
	watch := time.AfterFunc(f.stall, func() { cancel(errStalled) })
	defer watch.Stop()
	buf := make([]byte, 32<<10)
	for fresh := 0; ; {
		n, err := body.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return werr
		}
		if fresh += n; fresh >= stallBytes {
			fresh = 0
			watch.Reset(f.stall)
		}
		switch {
		case err == io.EOF && w.total > 0 && w.size < w.total:
			return fail(again, "fetch %s: it ended after %d of %d bytes", v.source(), w.size, w.total)
		case err == io.EOF:
			return nil
		case err != nil && context.Cause(ctx) != nil:
			return fail(again, "fetch %s: %w", v.source(), context.Cause(ctx))
		case err != nil:
			return fail(again, "fetch %s: %w", v.source(), err)
		}
	}
}
