package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/shop"
	base "mobilemoney.dev/operator/hack/internal/stage"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	pollEvery = 5 * time.Second

	readyWithin    = 60 * time.Second
	stopWithin     = 15 * time.Second
	frozenAtMost   = 8 * time.Second
	managersInCrew = 2
)

// stage is all that runs, and how to clear it away.
type stage struct {
	options
	base.Stage
	shops []string
	logf  func(string, ...any)
	crew  *crew
	front string // host:port of what stands for the Service of the callbacks
}

// set brings everything up but the managers.
func (s *stage) set(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"making a temporary folder", func(context.Context) error { return s.Begin("soak") }},
		{"starting etcd and kube-apiserver", s.startControlPlane},
		{"starting the simulator", s.startSimulator},
		{"installing the operator and the shops", s.install},
		{"starting two managers", s.startManagers},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.logf("%s", step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (s *stage) startControlPlane(ctx context.Context) error {
	if err := s.StartControlPlane(ctx); err != nil {
		return err
	}
	// For whoever wants to look on.
	path, err := s.Kubeconfig("admin.kubeconfig", s.Env.AdminConfig())
	s.logf("export KUBECONFIG=%s", path)
	return err
}

func (s *stage) startSimulator(ctx context.Context) error {
	ports, err := testenv.FreePorts(ctx, 1+3*managersInCrew)
	if err != nil {
		return err
	}
	s.front = ports[0]
	s.crew = &crew{}
	for i := range s.crew.members {
		s.crew.members[i] = &member{callback: ports[3*i+1], probe: ports[3*i+2], metrics: ports[3*i+3]}
	}
	var callbacks []simulator.WaveCallback
	for _, name := range s.shops {
		callbacks = append(callbacks, simulator.WaveCallback{
			URL: "http://" + s.front + open(name).WavePath(), SigningSecrets: []string{shop.WaveWebhookSecret},
		})
	}
	err = s.StartSimulator(simulator.Options{
		Speed: s.speed,
		Rand:  simulator.Seeded(s.seed),
		// Who was not given a page cannot pay.
		PayerOpens: true,
		// So that no session of the three outlives the others by much.
		Wave: simulator.WaveOptions{SessionLife: 10 * time.Minute, Callbacks: callbacks},
	})
	if err != nil {
		return err
	}
	return s.startFront()
}

// startFront starts what stands for the Service of the callbacks: it hands each to one
// of the managers, whether that one is alive or not.
func (s *stage) startFront() error {
	var taken atomic.Uint32
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			m := s.crew.members[taken.Add(1)%managersInCrew]
			r.SetURL(&url.URL{Scheme: "http", Host: m.callback})
		},
		Transport: &http.Transport{ResponseHeaderTimeout: 5 * time.Second, DisableKeepAlives: true},
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	l, err := net.Listen("tcp", s.front)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(l) }() // until it is closed
	s.Later(server.Close)
	return nil
}

func open(namespace string) shop.Shop {
	return shop.Shop{
		Namespace: namespace, Clerk: "clerk", Refunder: "refunder", PollEvery: pollEvery,
		// One payer buys it all.
		Prompts: v1alpha1.Prompts{PerPhone: 1_000_000, PerNamespace: 1_000_000},
	}
}

func (s *stage) install(ctx context.Context) error {
	var shops []shop.Shop
	for _, name := range s.shops {
		shops = append(shops, open(name))
	}
	return s.Install(ctx, shops...)
}

func (s *stage) startManagers(ctx context.Context) error {
	path, err := s.OperatorKubeconfig(ctx)
	if err != nil {
		return err
	}
	for i, m := range s.crew.members {
		m.path, m.args = s.manager, s.flags(path, m)
		// An environment of its own: variables such as WAVE_API_KEY would describe accounts.
		m.environ = []string{"HOME=" + s.Dir}
		m.log = filepath.Join(s.out, fmt.Sprintf("manager-%d.log", i))
		if err := os.RemoveAll(m.log); err != nil {
			return err
		}
	}
	if err := s.crew.start(); err != nil {
		return err
	}
	s.Later(s.crew.stop)
	return s.complete(ctx)
}

// complete waits until both managers are ready and one leads.
func (s *stage) complete(ctx context.Context) error {
	return until(ctx, readyWithin, "both managers ready, and one of them leads", func() bool {
		return s.crew.members[0].ready(ctx) && s.crew.members[1].ready(ctx) && s.crew.leader(ctx) != nil
	})
}

// flags of a manager: short windows, and a lease that is taken over in seconds. A
// request that the simulator processes late is late by 3 s.
func (s *stage) flags(kubeconfig string, m *member) []string {
	return s.ManagerFlags(kubeconfig, "soak", s.front, m.callback, m.probe,
		"--leader-elect-lease-duration=2s",
		"--leader-elect-renew-deadline=1600ms",
		"--leader-elect-retry-period=300ms",
		"--metrics-bind-address="+m.metrics,
		"--metrics-insecure",
		"--call-timeout=1800ms",
		"--record-timeout=3s",
		"--late-window=6s",
		"--clock-skew=500ms",
		"--retry-min=300ms",
		"--retry-max=3s",
		"--callback-gap=300ms",
		"--workers=40",
		"--zap-time-encoding=rfc3339nano",
	)
}

// rng for one purpose, so that one does not depend on how often another draws.
func (s *stage) rng(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, purpose)) }
