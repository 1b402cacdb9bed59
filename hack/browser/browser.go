package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Size of a small phone, in CSS pixels.
const width, height = 390, 844

// patience is how long a page may take to show something.
const patience = 20 * time.Second

// browser is one tab of a browser that cannot reach any other host.
type browser struct {
	ctx     context.Context
	closing []func()
	shots   string
	taken   int

	mu       sync.Mutex // guards what follows
	faults   []string
	requests int
}

func open(ctx context.Context, o options, dir string) (*browser, error) {
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(o.chromium), chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	}
	for _, off := range []string{
		"quic", "background-networking", "component-update", "sync", "dev-shm-usage", "default-apps", "extensions",
	} {
		flags = append(flags, chromedp.Flag("disable-"+off, true))
	}
	allocator, endBrowser := chromedp.NewExecAllocator(ctx, flags...)
	tab, endTab := chromedp.NewContext(allocator)
	b := &browser{ctx: tab, closing: []func(){endTab, endBrowser}, shots: o.shots}
	// The first of these starts the browser, and so has no time limit of its own.
	err := chromedp.Do(tab, call(network.Enable, network.EnableParams{}), chromedp.EmulateViewport(width, height,
		chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch))
	if err = errors.Join(err, chromedp.Listen(tab, b.listen)); err != nil {
		b.close()
		return nil, fmt.Errorf("starting the browser: %w", err)
	}
	return b, nil
}

func (b *browser) close() {
	for _, f := range b.closing {
		f()
	}
}

// call is a command of the browser's protocol as an action.
func call[P, R any](command cdp.Command[P, R], params P) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// listen notes what a page must not do.
func (b *browser) listen(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.mu.Lock()
		b.requests++
		b.mu.Unlock()
		u, err := url.Parse(e.Request.URL)
		if ip := net.ParseIP(u.Hostname()); err != nil || ip == nil || !ip.IsLoopback() {
			b.fault("a page asked for %s", e.Request.URL)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.fault("the console says (%s, %s): %s", e.Entry.Source, e.Entry.Level, e.Entry.Text)
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			b.fault("a script wrote to the console: %s %v", e.Type, e.Args)
		}
	case *runtime.EventExceptionThrown:
		b.fault("a script failed: %s", e.ExceptionDetails.Text)
	}
}

func (b *browser) fault(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, fmt.Sprintf(format, args...))
}

// verdict is what the pages did that they must not, over the whole time.
func (b *browser) verdict() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.faults) > 0 {
		return errors.New(strings.Join(b.faults, "\n"))
	}
	say("%d requests, none to another host; nothing was written to the console", b.requests)
	if b.requests == 0 {
		return errors.New("no request was seen: nothing is proven")
	}
	return nil
}

// action is something that a person does, or waits for.
type action = chromedp.Action[chromedp.Void]

// do runs actions, each of which waits for what it needs.
func (b *browser) do(what string, actions ...action) error {
	if _, err := ask(b, chromedp.Steps(actions...)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func ask[T any](b *browser, question chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, question)
}

// reads checks what a script finds on the page.
func (b *browser) reads(script, want string) error {
	got, err := ask(b, chromedp.Evaluate[string]("String("+script+")"))
	if err != nil {
		return fmt.Errorf("%s: %w", script, err)
	}
	if got != want {
		return fmt.Errorf("%s is %q, want %q", script, got, want)
	}
	return nil
}

// prefers tells the pages what the person has set up in the browser.
func (b *browser) prefers(languages, scheme string) error {
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	return b.do("setting preferences",
		call(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": languages}}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}))
}

func (b *browser) scripts(on bool) error {
	return b.do("setting whether scripts run",
		call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}))
}

//go:embed readable.js
var readable string

// shot takes a picture of the whole page, and checks that it can be read and hit.
func (b *browser) shot(name string) error {
	b.taken++
	complaints, err := ask(b, chromedp.Evaluate[[]string](readable, chromedp.EvalAwaitPromise))
	if err != nil {
		return fmt.Errorf("looking whether the page can be read: %w", err)
	}
	picture, err := ask(b, chromedp.FullScreenshot(100))
	if err != nil {
		return fmt.Errorf("taking a screenshot: %w", err)
	}
	path := filepath.Join(b.shots, fmt.Sprintf("%02d-%s.png", b.taken, name))
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		return fmt.Errorf("keeping a screenshot: %w", err)
	}
	for _, complaint := range complaints {
		b.fault("%s: %s", filepath.Base(path), complaint)
	}
	return nil
}

func clearShots(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "[0-9][0-9]-*.png"))
	for _, path := range old {
		err = errors.Join(err, os.Remove(path))
	}
	return errors.Join(err, os.MkdirAll(dir, 0o755))
}
