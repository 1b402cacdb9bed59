package callback

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// listening runs the receiver at a real address until stop is called, which waits
// for its end.
func listening(t *testing.T, f *fixture) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f.Listener = l
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Start(ctx) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() { cancel(); result = <-ended })
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

// settle waits until the goroutines of a test are gone, for as long as its time.
func settle(t *testing.T, before int) {
	t.Helper()
	for runtime.NumGoroutine() > before {
		select {
		case <-t.Context().Done():
			t.Fatalf("%d goroutines are left, there were %d", runtime.NumGoroutine(), before)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (f *fixture) post(addr, path, body string) (int, error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Post("http://"+addr+path, "application/json", strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close()
	return resp.StatusCode, nil
}

// dribble keeps a connection open with a request that never ends, again and again.
func dribble(addr, begin string, dials *atomic.Int32, stop <-chan struct{}) {
	for {
		conn, err := net.Dial("tcp", addr)
		dials.Add(1)
		for err == nil {
			if begin != "" {
				_, err = io.WriteString(conn, begin)
			}
			for err == nil {
				select {
				case <-stop:
					_ = conn.Close()
					return
				case <-time.After(100 * time.Millisecond):
				}
				_, err = io.WriteString(conn, "x")
			}
			_ = conn.Close()
		}
		select {
		case <-stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Five hundred connections that dribble headers and bodies, all from the address of
// the genuine sender itself, keep no callback out.
func TestG12_SlowLoris(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	f := withSales(t, s)
	before := runtime.NumGoroutine()
	addr, end := listening(t, f)
	begins := []string{
		"", // nothing but x
		"POST " + s.path() + " HTTP/1.1\r\nHost: x\r\nX-",
		"POST /callbacks/wave HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{",
		"POST " + s.path() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{",
		"POST " + s.path() + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff0\r\n",
	}
	stop := make(chan struct{})
	var dials atomic.Int32
	var crowd sync.WaitGroup
	for i := range 500 {
		crowd.Go(func() { dribble(addr, begins[i%len(begins)], &dials, stop) })
	}
	for dials.Load() < 500 {
		time.Sleep(time.Millisecond)
	}
	// They are all there now; and they come back again and again.
	for i := 0; i < 25 || dials.Load() < 2000; i++ {
		// As a provider does: where the connection breaks, once more.
		var status int
		err := fmt.Errorf("not tried")
		for try := 0; try < 20 && err != nil; try++ {
			status, err = f.post(addr, s.path(), fmt.Sprintf(`{"status":"PENDING","n":%d}`, i))
		}
		if err != nil || status != http.StatusOK {
			t.Errorf("callback %d: HTTP %d, %v", i, status, err)
		}
	}
	close(stop)
	crowd.Wait()
	must(t, end())
	settle(t, before)
	f.expectNote(s, "PENDING")
	f.expectWrites(1)
}

// Ten thousand forged callbacks, over real connections: nothing is written, nothing
// is read, no phase changes, nobody is asked (there is no way to), and nothing of
// them stays in memory.
func TestG14_TenThousandForged(t *testing.T) {
	m := newMarket(t)
	mtnSale, orangeSale := newSale("shop", "at-mtn", "mtn"), newSale("shop", "at-orange", "orange")
	m.add(mtnSale, orangeSale)
	sales := append(m.sales(), mtnSale, orangeSale)
	goroutines := runtime.NumGoroutine()
	addr, end := listening(t, m.fixture)
	forged := func(i int) string {
		body := waveBody(sales[i%5].reference()) + strings.Repeat(" ", i%1000)
		path := []string{pathA, pathB, pathCluster, pathOperator, "/callbacks/wave/account/tenant-a/unknown"}[i%5]
		proof := "Wave-Signature: " + signature(m.now, body, "wrong", fmt.Sprint(i))
		switch i % 4 {
		case 0:
			path = strings.Replace(mtnSale.path(), mtnSale.id()[50:], fmt.Sprintf("%05d", i), 1)
		case 1:
			path = "/callbacks/orange/" + mtnSale.id()
		case 2:
			proof = "Authorization: Bearer wave_" + fmt.Sprint(i)
		}
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\n\r\n%s", path, proof, len(body), body)
	}
	const each = 500
	flood := func(from, to int) {
		for i := from; i < to; i++ {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, forged(i))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			// Whoever is refused before the body may find the connection closed.
			if err == nil && resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusNotFound {
				t.Errorf("forged callback %d: HTTP %d", i, resp.StatusCode)
			}
			_ = conn.Close()
		}
	}
	flood(0, each) // what is made once is made now
	heap := heapNow()
	m.reads = nil
	var senders sync.WaitGroup
	for i := 1; i < 20; i++ {
		senders.Go(func() { flood(i*each, (i+1)*each) })
	}
	senders.Wait()
	m.mu.Lock()
	for _, r := range m.reads { // of the cache: is there an account of that name?
		if r != "get MerchantAccount" {
			t.Errorf("read: %s", r)
		}
	}
	m.mu.Unlock()
	m.expectWrites(0)
	for _, s := range sales {
		m.expectNoNote(s)
	}
	must(t, end())
	settle(t, goroutines)
	// Each forged callback would be more than 1 kB if it stayed.
	if grown := int64(heapNow()) - int64(heap); grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", grown)
	}
	m.expectNotLogged(mtnSale.id(), secretA, secretB, secretCluster, secretOperator)
}

func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// What no client of a library sends.
func TestG13_RawRequests(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	f := withSales(t, s)
	addr, end := listening(t, f)
	post := func(path string) string { return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" }
	deep := strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000)
	with := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	for name, c := range map[string]struct {
		sent string
		want string
	}{
		"an encoded slash":     {post("/callbacks/mtn%2f"+s.id()) + with(mtnBody), "404"},
		"dots":                 {post("/callbacks/x/../mtn/"+s.id()) + with(mtnBody), "404"},
		"two slashes":          {post("//callbacks/mtn/"+s.id()) + with(mtnBody), "404"},
		"a whole URL":          {post("http://elsewhere.example"+s.path()) + with(mtnBody), "200"},
		"another host":         {"POST " + s.path() + " HTTP/1.1\r\nHost: elsewhere.example\r\n" + with(mtnBody), "200"},
		"no host":              {"POST " + s.path() + " HTTP/1.1\r\n" + with(mtnBody), "400"},
		"two lengths":          {post(s.path()) + "Content-Length: 1\r\n" + with(mtnBody), "400"},
		"length and chunks":    {post(s.path()) + "Transfer-Encoding: chunked\r\n" + with("0\r\n\r\n"), "400"},
		"a negative length":    {post(s.path()) + "Content-Length: -1\r\n\r\n", "400"},
		"a huge length":        {post(s.path()) + "Content-Length: 99999999999\r\n\r\n" + strings.Repeat(" ", maxBody+1), "413"},
		"endless chunks":       {post(s.path()) + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat(" ", 0x1000)+"\r\n", 17), "413"},
		"a gzip bomb":          {post(s.path()) + "Content-Encoding: gzip\r\n" + with("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), "400"},
		"deep":                 {post(s.path()) + with(deep), "200"},
		"deep without an end":  {post(s.path()) + with(deep[:50000]), "400"},
		"too deep":             {post(s.path()) + with(strings.Repeat("[", 20000)+strings.Repeat("]", 20000)), "400"},
		"another type":         {post(s.path()) + "Content-Type: text/html\r\n" + with(mtnBody), "200"},
		"a form":               {post(s.path()) + "Content-Type: multipart/form-data; boundary=x\r\n" + with("--x--"), "400"},
		"a large header":       {post(s.path()) + "X-Large: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "431"},
		"HTTP/2 by prior fame": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "404"},
		"an upgrade to HTTP/2": {post(s.path()) + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" + with(mtnBody), "200"},
		"no HTTP at all":       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
	} {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		go func() { _, _ = io.WriteString(conn, c.sent) }()
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if fields := strings.Fields(answer); len(fields) < 2 || fields[1] != c.want {
			t.Errorf("%s: %q, %v, want %s", name, answer, err, c.want)
		}
		_ = conn.Close()
	}
	must(t, end())
	f.expectWrites(1)
}

// What is being answered when the end comes is answered, and what waits is let go.
func TestReceiver_DrainsUnderLoad(t *testing.T) {
	const n = 50
	var sales []sale
	for i := range n {
		sales = append(sales, newSale("shop", fmt.Sprint("order-", i), "mtn"))
	}
	f := withSales(t, sales...)
	inside, goOn := make(chan struct{}, n), make(chan struct{})
	f.onCall = func(label string) error {
		if label == "apply status" {
			inside <- struct{}{}
			<-goOn
		}
		return nil
	}
	addr, end := listening(t, f)
	idle, err := net.Dial("tcp", addr) // sends nothing, and delays nobody
	must(t, err)
	defer func() { _ = idle.Close() }()
	codes := make(chan int, n)
	for _, s := range sales {
		go func() {
			code, err := f.post(addr, s.path(), mtnBody)
			if err != nil {
				t.Error(err)
			}
			codes <- code
		}()
	}
	for range n {
		<-inside
	}
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	for f.listening.Load() { // until it drains, nobody new is let in after that
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(goOn)
	for range n {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("HTTP %d", code)
		}
	}
	must(t, <-ended)
	var noted int
	var list v1alpha1.PaymentList
	must(t, f.api.List(f.ctx, &list, client.InNamespace("shop")))
	for i := range list.Items {
		if list.Items[i].Status.LastCallback != nil {
			noted++
		}
	}
	if noted != n {
		t.Errorf("%d of %d are noted", noted, n)
	}
}
