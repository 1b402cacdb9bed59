package testenv

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreePorts are addresses on loopback. Their ports are below those that systems hand out for
// outgoing connections, one of which could else take a port before a program of ours does.
func FreePorts(ctx context.Context, n int) ([]string, error) {
	const first, last, tries = 20000, 30000, 100
	var ports []string
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(first+rand.IntN(last-first)))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		defer l.Close() // when all are chosen, so that none is chosen twice
		if ports = append(ports, l.Addr().String()); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free port")
}
