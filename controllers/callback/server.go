package callback

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

const (
	maxBody      = 64 << 10
	maxHeader    = 8 << 10
	drainTimeout = 10 * time.Second
	// MTN gives up after two seconds, Wave after five.
	noteTimeout = 1500 * time.Millisecond
)

// TLSFiles are a certificate and its key, as a mounted Secret has them. They are read again when they change.
type TLSFiles struct{ Cert, Key string }

// Start serves until ctx is over and then drains.
func (r *Receiver) Start(ctx context.Context) error {
	l, err := r.listen(ctx)
	if err != nil {
		return fmt.Errorf("listening for callbacks: %w", err)
	}
	server := r.server()
	defer func() { _ = server.Close() }()
	r.listening.Store(true)
	defer r.listening.Store(false)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving callbacks: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("draining callbacks: %w", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving callbacks: %w", err)
	}
	return nil
}

// server with limits on everything that a stranger sends.
func (r *Receiver) server() *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true) // one request at a time on a connection, so that connections can be counted
	return &http.Server{
		Handler:           r.Handler(),
		Protocols:         &protocols,
		ReadHeaderTimeout: 3 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      5 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    maxHeader,
		ConnContext:       withConnection,
		// It would print what strangers do to the connection.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
}

// listen within the limits, and by TLS where there are files for it.
func (r *Receiver) listen(ctx context.Context) (net.Listener, error) {
	config, err := r.tlsConfig(ctx)
	if err != nil {
		return nil, err
	}
	l := r.Listener
	if l == nil {
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", r.Addr); err != nil {
			return nil, err
		}
	}
	limited := newConnections(l, r.Limits.withDefaults())
	if config == nil {
		return limited, nil
	}
	return tls.NewListener(limited, config), nil
}

// tlsConfig follows the files until ctx is over; nil: plain http.
func (r *Receiver) tlsConfig(ctx context.Context) (*tls.Config, error) {
	if r.TLS == (TLSFiles{}) {
		return nil, nil
	}
	watcher, err := certwatcher.New(r.TLS.Cert, r.TLS.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate: %w", err)
	}
	go func() {
		if err := watcher.Start(ctx); err != nil {
			r.Log.Error(err, "The certificate of the callback receiver is not followed any more")
		}
	}()
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: watcher.GetCertificate, NextProtos: []string{"http/1.1"}}, nil
}
