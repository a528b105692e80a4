package transport_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
	"github.com/busyd/busyd/providers/transport"
)

// purse is a Limiter with some tokens in each bucket, and one more each second.
type purse struct {
	mu     sync.Mutex
	began  time.Time
	full   int
	spent  map[string]int
	asked  map[string]int
	pauses map[string]time.Time
	hold   map[string]chan struct{} // for Take to wait for, by bucket
}

func newPurse(tokens int) *purse {
	return &purse{began: time.Now(), full: tokens, spent: make(map[string]int), asked: make(map[string]int), pauses: make(map[string]time.Time)}
}

func (p *purse) Take(_ context.Context, b busy.Bucket) time.Duration {
	if c := p.hold[b.Key]; c != nil {
		<-c
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[b.Key]++
	come := int(time.Since(p.began) / time.Second)
	if p.spent[b.Key] < p.full+come {
		p.spent[b.Key]++
		return 0
	}
	return time.Until(p.began.Add(time.Duration(come+1) * time.Second))
}

func (p *purse) Pause(_ context.Context, key string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pauses[key] = time.Now().Add(d)
}

func (p *purse) Paused(_ context.Context, key string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, time.Until(p.pauses[key]))
}

func (p *purse) of(key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spent[key]
}

// eachSecond budgets: the account's bucket, and the host's.
var eachSecond = transport.Budgets{Of: func(r *http.Request, account string) []busy.Bucket {
	rate := busy.Rate{Requests: 1, Per: time.Second, Burst: 1}
	host := busy.Bucket{Key: r.URL.Host, Rate: rate}
	if account == "" {
		return []busy.Bucket{host}
	}
	return []busy.Bucket{{Key: account, Rate: rate}, host}
}}

// answering is a RoundTripper of a function.
type answering func(*http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, header ...string) *http.Response {
	h := http.Header{}
	if len(header) == 2 {
		h.Set(header[0], header[1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("body"))}
}

func fine(*http.Request) (*http.Response, error) { return answer(http.StatusOK), nil }

func work(tenant, account byte) busy.Work {
	w := busy.Work{Connection: busy.ConnectionID{account}}
	w.Tenant = busy.TenantID{tenant}
	return w
}

// ask sends a request, reads the answer, and returns the status.
func ask(ctx context.Context, rt http.RoundTripper, url string) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := rt.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// want demands an error of the gate's, and returns after what time to come again.
func want(t testing.TB, err error, fault providers.Fault, code string) time.Duration {
	t.Helper()
	if providers.FaultOf(err) != fault || providers.CodeOf(err) != code {
		t.Fatalf("%v, want %s (%s)", err, code, fault)
	}
	return providers.AfterOf(err)
}

// admit begins a run, which over ends.
func admit(t testing.TB, g *transport.Gate, w busy.Work) (ctx context.Context, over func()) {
	t.Helper()
	ctx, over = context.WithCancel(context.Background())
	t.Cleanup(over)
	ctx, err := g.Admit(ctx, w)
	must(t, err)
	return ctx, over
}

const (
	server  = "https://server.test/"
	another = "https://another.test/"
)

func TestRequestsTakeATokenFromEachBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPurse(5)
		g := transport.NewGate(p, 16)
		rt := g.Limit(answering(fine), eachSecond)
		first, _ := admit(t, g, work(1, 1))
		second, _ := admit(t, g, work(1, 2))
		for ctx, times := range map[context.Context]int{first: 2, second: 1, t.Context(): 1} {
			for range times {
				_, err := ask(ctx, rt, server)
				must(t, err)
			}
		}
		one, two := work(1, 1).Connection.String(), work(1, 2).Connection.String()
		if p.of(one) != 2 || p.of(two) != 1 || p.of("server.test") != 4 {
			t.Errorf("took %v", p.spent)
		}
	})
}

// A run that has begun waits for its tokens; one that has not gives the worker
// back, and who is no run is told that it is too much.
func TestHowLongAGateIsWaitedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPurse(1)
		g := transport.NewGate(p, 16)
		rt := g.Limit(answering(fine), eachSecond)
		begun, _ := admit(t, g, work(1, 1))
		_, err := ask(begun, rt, server)
		must(t, err)
		start := time.Now()
		for range 3 {
			_, err := ask(begun, rt, server)
			must(t, err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("three tokens came in %s, want one a second", took)
		}

		fresh, _ := admit(t, g, work(2, 2))
		start = time.Now()
		_, err = ask(fresh, rt, server)
		want(t, err, providers.Deferred, transport.CodeBudget)
		if took := time.Since(start); took > 250*time.Millisecond {
			t.Errorf("a run that had not begun held its worker for %s", took)
		}
		p.spent["server.test"] += 60 // others were quicker
		start = time.Now()
		_, err = ask(begun, rt, server)
		want(t, err, providers.Deferred, transport.CodeBudget)
		_, err = ask(t.Context(), rt, server)
		want(t, err, providers.Throttled, transport.CodeBudget)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("two requests were held up for %s", took)
		}

		gone, cancel := context.WithTimeout(begun, time.Second/2)
		defer cancel()
		if _, err := ask(gone, rt, server); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gave up got %v", err)
		}
	})
}

// However many runs a tenant has put off, those of another come again soon, and
// its own do not all come at once.
func TestTermsOfRunsThatArePutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPurse(1)
		p.spent["server.test"] = 1 << 20
		g := transport.NewGate(p, 16)
		rt := g.Limit(answering(fine), eachSecond)
		put := func(tenant, account byte) time.Duration {
			ctx, over := admit(t, g, work(tenant, account))
			defer over()
			_, err := ask(ctx, rt, server)
			return want(t, err, providers.Deferred, transport.CodeBudget)
		}
		for i := range byte(100) {
			if after := put(1, i); after != time.Duration(i+1)*time.Second {
				t.Fatalf("run %d comes again in %s", i, after)
			}
		}
		if after := put(2, 200); after != time.Second {
			t.Errorf("the run of another tenant comes again in %s", after)
		}
		time.Sleep(50 * time.Second)
		if after := put(1, 201); after != 51*time.Second {
			t.Errorf("half a minute later one comes again in %s, behind those that wait", after)
		}
		time.Sleep(time.Hour)
		if after := put(1, 202); after != time.Second {
			t.Errorf("after all had their turn one comes again in %s", after)
		}
	})
}

// Where tokens are scarce, a tenant with a great many runs holds one worker that
// waits for one, and takes turns with a tenant that has few.
func TestTenantsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPurse(1000)
		p.spent["scarce.test"] = 1000
		g := transport.NewGate(p, 16)
		scarce := g.Limit(answering(fine), eachSecond)
		time.Sleep(900 * time.Millisecond) // a token will come soon
		var many, few outcomes
		together := make(chan struct{})
		p.hold = map[string]chan struct{}{"scarce.test": together}
		for i := range byte(25) {
			many.ask(t, g, scarce, "https://scarce.test/", 1, i)
		}
		synctest.Wait()
		close(together) // all of them come at the same moment
		synctest.Wait()
		asked := p.asked["scarce.test"]
		for i := range byte(25) {
			many.ask(t, g, scarce, "https://scarce.test/", 1, 25+i)
		}
		synctest.Wait()
		if p.asked["scarce.test"] != asked {
			t.Error("a run took part although another of its tenant waits for the next token")
		}
		few.ask(t, g, scarce, "https://scarce.test/", 2, 100)
		synctest.Wait()
		going, done, errs := many.count()
		if going != 1 || done != 49 {
			t.Errorf("%d runs of a tenant wait, and %d were put off", going, done)
		}
		for _, err := range errs {
			want(t, err, providers.Deferred, transport.CodeBudget)
		}
		if going, _, _ := few.count(); going != 1 {
			t.Error("the other tenant's run does not wait beside them")
		}
	})
}

func TestAPauseThatTheProviderAsksFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(newPurse(100), 16)
		replies := []*http.Response{answer(429, "Retry-After", "90"), answer(503, "Retry-After", "30"), answer(503), answer(200)}
		sent := 0
		rt := g.Limit(answering(func(*http.Request) (*http.Response, error) {
			sent++
			return replies[sent-1], nil
		}), eachSecond)
		ctx, _ := admit(t, g, work(1, 1))
		if status, err := ask(ctx, rt, server); status != 429 || err != nil {
			t.Fatalf("%d, %v: the answer is the adapter's to read", status, err)
		}
		time.Sleep(30 * time.Second)
		same, _ := admit(t, g, work(1, 1))
		_, err := ask(same, rt, server)
		if after := want(t, err, providers.Throttled, transport.CodePaused); after != time.Minute || sent != 1 {
			t.Errorf("another run of the account waits for %s, after %d requests", after, sent)
		}
		other, _ := admit(t, g, work(1, 2))
		_, err = ask(other, rt, server) // 503
		must(t, err)
		_, err = ask(other, rt, another)
		want(t, err, providers.Throttled, transport.CodePaused)
		time.Sleep(time.Minute)
		for _, ctx := range []context.Context{same, other} {
			_, err = ask(ctx, rt, server)
			must(t, err)
		}
		g.Pause(ctx, work(1, 2), time.Second) // as a body may say
		_, err = ask(other, rt, server)
		want(t, err, providers.Throttled, transport.CodePaused)
	})
}

// An account gets half of the workers, whatever it has to do.
func TestAccountsShareTheWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(newPurse(100), 8)
		_, over := admit(t, g, work(1, 1))
		for range 3 {
			admit(t, g, work(1, 1))
		}
		_, err := g.Admit(t.Context(), work(1, 1))
		want(t, err, providers.Deferred, transport.CodeShare)
		admit(t, g, work(1, 2))
		over()
		synctest.Wait()
		admit(t, g, work(1, 1))
		_, err = g.Admit(t.Context(), work(1, 1))
		want(t, err, providers.Deferred, transport.CodeShare)
		tiny := transport.NewGate(newPurse(1), 1)
		admit(t, tiny, work(1, 1)) // half of one is one
	})
}

// hanging is a server that answers when it is told to, or not.
type hanging struct {
	mu      sync.Mutex
	hangs   bool
	inBody  bool // it sends the header, and hangs then
	answers chan struct{}
}

func (h *hanging) set(hangs bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hangs = hangs
}

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.hangs {
		return answer(http.StatusOK), nil
	}
	if h.inBody {
		resp := answer(http.StatusOK)
		resp.Body = stuck{r.Context(), h.answers}
		return resp, nil
	}
	h.mu.Unlock()
	defer h.mu.Lock()
	return answer(http.StatusOK), stuck{r.Context(), h.answers}.wait()
}

type stuck struct {
	ctx     context.Context
	answers chan struct{}
}

func (s stuck) wait() error {
	select {
	case <-s.answers:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s stuck) Read([]byte) (int, error) {
	if err := s.wait(); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

func (stuck) Close() error { return nil }

// outcomes collects how requests of runs of their own ended.
type outcomes struct {
	mu    sync.Mutex
	errs  []error
	going int
}

func (o *outcomes) count() (going, done int, errs []error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.going, len(o.errs), o.errs
}

// ask sends a request in the name of a run, for a minute at most.
func (o *outcomes) ask(t testing.TB, g *transport.Gate, rt http.RoundTripper, url string, tenant, account byte) {
	ctx, over := admit(t, g, work(tenant, account))
	o.mu.Lock()
	o.going++
	o.mu.Unlock()
	go func() {
		defer over()
		limited, cancel := context.WithTimeoutCause(ctx, time.Minute, nil)
		defer cancel()
		_, err := ask(limited, rt, url)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.going--
		o.errs = append(o.errs, err)
	}()
}

func TestAServerThatHangs(t *testing.T) {
	for name, inBody := range map[string]bool{"before it answers": false, "within its answer": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testAServerThatHangs(t, inBody) })
		})
	}
}

func testAServerThatHangs(t *testing.T, inBody bool) {
	const workers = 16
	g := transport.NewGate(newPurse(1000), workers)
	h := &hanging{hangs: true, inBody: inBody, answers: make(chan struct{})}
	rt := g.Limit(h, eachSecond)
	var first outcomes
	for i := range byte(workers) {
		first.ask(t, g, rt, server, i, i)
	}
	time.Sleep(4 * time.Second)
	synctest.Wait()
	if going, _, _ := first.count(); going != workers {
		t.Fatalf("%d of %d go on: a server may take four seconds", going, workers)
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	going, done, errs := first.count()
	if going != workers/2 || done != workers/2 {
		t.Fatalf("%d go on and %d were let go, want half", going, done)
	}
	for _, err := range errs {
		want(t, err, providers.Transient, transport.CodeSilent)
	}
	var second outcomes
	second.ask(t, g, rt, server, 100, 100)
	synctest.Wait()
	if _, done, errs := second.count(); done != 1 || providers.CodeOf(errs[0]) != transport.CodeSilent {
		t.Fatalf("who comes while it is silent: %v", errs)
	}
	ctx, over := admit(t, g, work(101, 101))
	defer over()
	h.set(false)
	_, err := ask(ctx, rt, another)
	must(t, err) // other servers are not meant

	h.set(true)
	time.Sleep(time.Minute) // the others have given up, and it is remembered
	var third outcomes
	for i := range byte(3) {
		third.ask(t, g, rt, server, i, i)
	}
	synctest.Wait()
	if going, done, _ := third.count(); going != 2 || done != 1 {
		t.Fatalf("%d runs ask a silent server and %d do not, want an eighth of %d to ask", going, done, workers)
	}
	h.set(false)
	close(h.answers)
	synctest.Wait()
	var fourth outcomes
	h.answers = make(chan struct{})
	h.set(true)
	for i := range byte(workers) {
		fourth.ask(t, g, rt, server, i, i)
	}
	synctest.Wait()
	if going, _, _ := fourth.count(); going != workers {
		t.Fatalf("%d of %d ask once it has answered", going, workers)
	}
	close(h.answers)
	synctest.Wait()
	if _, done, errs := fourth.count(); done != workers || errors.Join(errs...) != nil {
		t.Errorf("%d of %d got an answer: %v", done, workers, errors.Join(errs...))
	}
}

// A server that takes its time for some is not silent while it answers others,
// and one that refuses is not either.
func TestAServerThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(newPurse(1000), 4)
		h := &hanging{hangs: true, answers: make(chan struct{})}
		var slow outcomes
		for i := range byte(4) {
			slow.ask(t, g, g.Limit(h, eachSecond), server, i, i)
		}
		quick, _ := admit(t, g, work(9, 9))
		for range 12 {
			time.Sleep(3 * time.Second)
			_, err := ask(quick, g.Limit(answering(fine), eachSecond), server)
			must(t, err)
		}
		if going, _, _ := slow.count(); going != 4 {
			t.Errorf("%d of 4 wait on", going)
		}

		refusing := g.Limit(answering(func(*http.Request) (*http.Response, error) {
			return nil, &providers.Error{Code: transport.CodeRefused}
		}), eachSecond)
		slow.ask(t, g, g.Limit(h, eachSecond), another, 5, 5)
		for range 4 {
			time.Sleep(3 * time.Second)
			_, err := ask(quick, refusing, another)
			want(t, err, providers.Transient, transport.CodeRefused)
		}
		var all outcomes
		for i := range byte(4) {
			all.ask(t, g, g.Limit(h, eachSecond), another, i, i)
		}
		synctest.Wait()
		if going, _, _ := all.count(); going != 4 {
			t.Errorf("%d of 4 are sent to a server that refused quickly", going)
		}
		close(h.answers)
	})
}

func TestFewRequestsAtAServerAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := transport.NewGate(newPurse(1000), 16)
		few := eachSecond
		few.InFlight = 2
		var mu sync.Mutex
		under, most := 0, 0
		slow := answering(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			under++
			most = max(most, under)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			under--
			mu.Unlock()
			return answer(http.StatusOK), nil
		})
		pools := []http.RoundTripper{g.Limit(slow, few), g.Limit(slow, few)} // as of two credentials
		var all outcomes
		for i := range byte(8) {
			all.ask(t, g, pools[i%2], server, i, i)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if _, done, errs := all.count(); done != 8 || errors.Join(errs...) != nil || most != 2 {
			t.Errorf("%d were answered, %d at a time: %v", done, most, errors.Join(errs...))
		}
	})
}
