package main

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/transport"
	"github.com/busyd/busyd/queue"
	"github.com/busyd/busyd/store"
	"github.com/busyd/busyd/sync/pull"
)

// metrics are what Prometheus reads. No label names a tenant or an account.
type metrics struct {
	registry *prometheus.Registry

	runs      *prometheus.CounterVec
	runTime   *prometheus.HistogramVec
	blocks    *prometheus.CounterVec
	events    *prometheus.CounterVec
	calls     *prometheus.CounterVec
	callTime  *prometheus.HistogramVec
	throttles *prometheus.CounterVec
	requests  *prometheus.HistogramVec
	pushes    *prometheus.CounterVec
	passages  *prometheus.CounterVec

	deliveries *prometheus.CounterVec
}

// The buckets reach from a poll that finds nothing to a first reading.
var (
	runBuckets     = []float64{.01, .03, .1, .3, 1, 3, 10, 30, 100, 300}
	requestBuckets = []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10}
)

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "busyd_" + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "busyd_" + name, Help: help, Buckets: buckets}, labels)
	}
	m := &metrics{
		registry:   prometheus.NewRegistry(),
		runs:       counter("runs_total", "Sync runs that took a calendar's lease.", "provider", "outcome", "full"),
		runTime:    histogram("run_seconds", "How long sync runs took.", runBuckets, "provider"),
		blocks:     counter("blocks_changed_total", "Busy blocks that runs inserted or removed.", "provider"),
		events:     counter("events_changed_total", "Events that runs inserted, changed or removed.", "provider"),
		calls:      counter("provider_calls_total", "Requests to providers.", "provider", "method", "result"),
		callTime:   histogram("provider_call_seconds", "From a request to a provider to its answer's header.", runBuckets, "provider"),
		throttles:  counter("provider_throttles_total", "Requests that a provider answered with 429 Too Many Requests.", "provider"),
		pushes:     counter("pushes_total", "Hints in callbacks of providers: about a watch of ours, or from strangers.", "provider", "known"),
		passages:   counter("connection_transitions_total", "Connections that this process saw go from one state into another; from is empty for a new one.", "from", "to", "provider"),
		deliveries: counter("webhook_attempts_total", "Attempts to send messages to endpoints: delivered, or how they failed.", "outcome"),
		requests:   histogram("http_request_seconds", "How long requests took to answer.", requestBuckets, "route", "status"),
	}
	m.registry.MustRegister(
		m.runs, m.runTime, m.blocks, m.events, m.calls, m.callTime, m.throttles, m.requests, m.pushes, m.passages, m.deliveries,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "busyd_build_info", Help: "1, labelled with the version.", ConstLabels: prometheus.Labels{"version": version()},
		}, func() float64 { return 1 }),
	)
	return m
}

// measure adds what is read from Postgres and Redis.
func (m *metrics) measure(st *store.Store, q *queue.Client, log *slog.Logger) {
	m.registry.MustRegister(newGauges(st, q.Depths, log))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

func (m *metrics) observeRun(r pull.Report) {
	provider := string(r.Kind)
	m.runs.WithLabelValues(provider, string(r.Outcome), strconv.FormatBool(r.Full)).Inc()
	m.runTime.WithLabelValues(provider).Observe(r.Took.Seconds())
	m.blocks.WithLabelValues(provider).Add(float64(r.Tally.Blocks))
	m.events.WithLabelValues(provider).Add(float64(r.Tally.Events))
}

func (m *metrics) observeCall(c transport.Call) {
	provider := string(c.Kind)
	m.calls.WithLabelValues(provider, c.Method, c.Result).Inc()
	m.callTime.WithLabelValues(provider).Observe(c.Duration.Seconds())
	if c.Result == "429" {
		m.throttles.WithLabelValues(provider).Inc()
	}
}

func (m *metrics) observeRequest(route string, status int, elapsed time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(elapsed.Seconds())
}

func (m *metrics) observePush(kind busy.Kind, known bool) {
	m.pushes.WithLabelValues(string(kind), strconv.FormatBool(known)).Inc()
}

func (m *metrics) observePassage(kind busy.Kind, from, to busy.ConnectionState) {
	m.passages.WithLabelValues(string(from), string(to), string(kind)).Inc()
}
