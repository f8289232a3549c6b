package api

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics is what /metrics tells. Labels are routes, methods and codes: nothing that a client wrote and nobody's address.
type metrics struct {
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	storeErrors prometheus.Counter
	handler     http.Handler

	observers sync.Map // observed → observer: the two, looked up once
}

type observed struct {
	route, method string
	status        int
}

type observer struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

func newMetrics(s *server) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "iod_http_requests_total", Help: "Requests answered."}, []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "iod_http_request_seconds", Help: "How long requests took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route"}),
		storeErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "iod_store_errors_total", Help: "Requests that failed because the index could not be read."}),
	}
	own := prometheus.NewRegistry()
	own.MustRegister(m.requests, m.seconds, m.storeErrors, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), indexCollector{s})
	all := prometheus.Gatherers{own}
	if s.Metrics != nil {
		all = append(all, s.Metrics)
	}
	m.handler = promhttp.HandlerFor(all, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
	return m
}

func (m *metrics) observe(route, method string, status int, took time.Duration) {
	key := observed{route, method, status}
	o, ok := m.observers.Load(key)
	if !ok {
		o, _ = m.observers.LoadOrStore(key, observer{m.requests.WithLabelValues(route, method, strconv.Itoa(status)), m.seconds.WithLabelValues(route)})
	}
	o.(observer).requests.Inc()
	if !streams[route] {
		o.(observer).seconds.Observe(took.Seconds())
	}
}

// indexCollector tells how far the index is, read when it is asked for.
type indexCollector struct{ s *server }

var (
	descBlock = prometheus.NewDesc("iod_index_block", "Last finalised block taken in.", nil, nil)
	descHead  = prometheus.NewDesc("iod_index_head", "Newest finalised block known when that one was taken in.", nil, nil)
	descLag   = prometheus.NewDesc("iod_index_lag_blocks", "Blocks behind the head.", nil, nil)
	descMoved = prometheus.NewDesc("iod_index_committed_timestamp_seconds", "When the index last moved.", nil, nil)
	descCount = prometheus.NewDesc("iod_devices", "Devices by status: live (verified or unverified) or ended.", []string{"status"}, nil)
	descAside = prometheus.NewDesc("iod_set_aside", "Documents that are not believed.", nil, nil)
	descLine  = prometheus.NewDesc("iod_changes", "Id of the newest line of history.", nil, nil)
	descFeeds = prometheus.NewDesc("iod_feeds", "Change feeds that are open.", nil, nil)
	descCut   = prometheus.NewDesc("iod_feeds_cut_total", "Change feeds that were ended because their clients read too slowly.", nil, nil)
	descUp    = prometheus.NewDesc("iod_index_up", "1 when the index's database can be read.", nil, nil)
)

// Describe tells what Collect sends.
func (indexCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBlock, descHead, descLag, descMoved, descCount, descAside, descLine, descUp, descFeeds, descCut} {
		to <- d
	}
}

// scrape bounds how long the database may take for metrics.
const scrape = 3 * time.Second

// Collect reads the state of the index.
func (c indexCollector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrape)
	defer cancel()
	st, err := c.s.states.get(ctx, c.s.reader)
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if c.s.Feed != nil {
		feeds := c.s.Feed.Stats()
		gauge(descFeeds, float64(feeds.Open))
		to <- prometheus.MustNewConstMetric(descCut, prometheus.CounterValue, float64(feeds.Cut))
	}
	if err != nil {
		c.s.log.Error("api: metrics", "error", err)
		gauge(descUp, 0)
		return
	}
	gauge(descUp, 1)
	v := statusOf(st)
	gauge(descHead, float64(v.Head))
	if v.Block != nil {
		gauge(descBlock, float64(*v.Block))
		gauge(descLag, float64(v.Lag))
	}
	if v.Committed != nil {
		gauge(descMoved, float64(v.Committed.UnixMilli())/1000)
	}
	gauge(descCount, float64(v.Devices.Verified), "verified")
	gauge(descCount, float64(v.Devices.Unverified), "unverified")
	gauge(descCount, float64(v.Devices.Ended), "ended")
	gauge(descAside, float64(v.SetAside))
	gauge(descLine, float64(v.Change))
}

func (s *server) serveMetrics(c *call) (reply, error) {
	s.metrics.handler.ServeHTTP(c.w, c.r)
	return reply{}, nil
}
