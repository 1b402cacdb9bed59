package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers/simulator"
)

// probe asks for the page and the ledger as soon as the program has announced itself in full.
type probe struct {
	bytes.Buffer
	stop   context.CancelFunc
	status []int
}

var pageURL = regexp.MustCompile(`Play the payer +(\S+)/\n`)

func (p *probe) Write(b []byte) (int, error) {
	n, err := p.Buffer.Write(b)
	url := pageURL.FindStringSubmatch(p.String())
	if url == nil || !strings.Contains(p.String(), "Ctrl-C") {
		return n, err
	}
	for _, path := range []string{"/", "/admin/ledger"} {
		if resp, err := http.Get(url[1] + path); err == nil {
			p.status = append(p.status, resp.StatusCode)
			resp.Body.Close()
		}
	}
	p.stop()
	return n, err
}

func TestRun(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	out := &probe{stop: stop}
	err := run(ctx, []string{"-listen", "127.0.0.1:0", "-speed", "60", "-auto-pay", "25s",
		"-wave-callback", "http://a.example,http://b.example", "-wave-secret", "one,two", "-wave-key", "wave_ci_mine"}, out)
	if err != nil || !slices.Equal(out.status, []int{200, 200}) {
		t.Errorf("run: %v, page and ledger answered %v", err, out.status)
	}
	for _, want := range []string{"/mtn\n", "/orange/orange-money-webpay/dev/v1", "/orange/oauth/v3/token", "/wave\n",
		simulator.DefaultMTNSubscriptionKey, simulator.DefaultMTNUser, simulator.DefaultMTNKey,
		simulator.DefaultMTNDisbursementSubscriptionKey, simulator.DefaultMTNDisbursementUser, simulator.DefaultMTNDisbursementKey,
		simulator.DefaultOrangeClientID, simulator.DefaultOrangeClientSecret, simulator.DefaultOrangeMerchantKey,
		"wave_ci_mine", "the others after 25s", "/admin/magic\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("announcement lacks %q: %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "WARNING") {
		t.Error("a warning though it listens on loopback")
	}
}

func TestParse(t *testing.T) {
	p, err := parse([]string{"-wave-callback", "http://a,http://b", "-wave-secret", "one,two", "-payer-opens"})
	if err != nil || p.autoPay != 0 || !p.PayerOpens || len(p.Wave.Callbacks) != 2 || len(p.Wave.Callbacks[1].SigningSecrets) != 2 {
		t.Errorf("%+v %v", p, err)
	}
	if p.defaults() != nil {
		t.Error("without a flag the simulator's own defaults are changed")
	}
	if p, err = parse([]string{"-payer", "manual"}); err != nil || len(p.defaults()) != 3 {
		t.Errorf("manual: %v %v", p.defaults(), err)
	}
	for provider, scenario := range p.defaults() {
		if scenario.Payer != simulator.Waits {
			t.Errorf("manual: the payer of %s %s", provider, scenario.Payer)
		}
	}
}

func TestFlagsChangeOneThingEach(t *testing.T) {
	plain, err := parse(nil)
	seen := map[string]string{fmt.Sprintf("%+v", plain): "no flag"}
	flags := []string{
		"-listen=:1", "-public-url=http://a", "-speed=2", "-payer=manual", "-auto-pay=1s", "-no-magic", "-payer-opens", "-wave-callback=http://a",
		"-mtn-environment=mtnbenin", "-mtn-callback-host=h.example", "-mtn-refuse-at-post", "-mtn-uncapped-refunds", "-orange-strict-accept",
		"-orange-expires-in-string", "-orange-token-life=2160h", "-wave-key=k", "-wave-currency=GMD", "-wave-session-life=24h", "-wave-http",
		"-wave-signing-secret=s", "-wave-aggregated-merchant=a",
	}
	for _, flag := range flags {
		p, errParse := parse([]string{flag})
		err = errors.Join(err, errParse)
		got := fmt.Sprintf("%+v", p)
		if other, known := seen[got]; known {
			t.Errorf("%s does what %s does", flag, other)
		}
		seen[got] = flag
	}
	if err != nil {
		t.Error(err)
	}
}

func TestFlagsAreDocumented(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var p program
	f := p.flags(new(string), new(string))
	f.VisitAll(func(f *flag.Flag) {
		if !strings.Contains(string(readme), "`-"+f.Name) {
			t.Errorf("-%s is not in the README", f.Name)
		}
	})
}

func TestExposed(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8480": false, "[::1]:8480": false, "localhost:8480": false,
		":8480": true, "0.0.0.0:8480": true, "[::]:8480": true, "192.0.2.1:8480": true, "host.example:8480": true, "": true,
	} {
		if got := exposed(address); got != want {
			t.Errorf("exposed(%q) = %v", address, got)
		}
	}
}

func TestWarnsOffLoopback(t *testing.T) {
	sim, err := simulator.New(simulator.Options{PublicURL: "https://pay.example"})
	if err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	p, err := parse([]string{"-listen", ":8480", "-payer", "manual"})
	var out bytes.Buffer
	if err != nil || p.announce(&out, sim) != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"WARNING", "https://pay.example/\n", "nobody pays but you"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("announcement lacks %q: %s", want, out.String())
		}
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"-nonsense"}, {"argument"}, {"-listen", "nowhere"},
		{"-payer", "nobody"}, {"-payer", "manual", "-auto-pay", "1s"},
	} {
		if err := run(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}

// The recipe copies what exists and all that the program is made of, exposes
// the port that it listens on, and runs as nobody in particular.
func TestContainerfile(t *testing.T) {
	const root = "../../../../"
	content, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	var sources []string
	last := map[string][]string{} // arguments of each instruction where it occurs last
	for line := range strings.Lines(string(content)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		last[words[0]] = words[1:]
		if words[0] == "COPY" && !strings.HasPrefix(words[1], "--from") {
			sources = append(sources, words[1:len(words)-1]...)
		}
	}
	for _, source := range sources {
		if _, err := os.Stat(root + source); err != nil {
			t.Error("COPY:", err)
		}
	}
	if len(sources) == 0 || !slices.Equal(last["FROM"], []string{"scratch"}) ||
		!slices.Equal(last["USER"], []string{"65532:65532"}) || !slices.Equal(last["EXPOSE"], []string{"8480"}) {
		t.Errorf("COPY %v, FROM %v, USER %v, EXPOSE %v", sources, last["FROM"], last["USER"], last["EXPOSE"])
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`)
	mod, err := os.ReadFile(root + "go.mod")
	if err != nil || !strings.Contains(string(content), "golang:"+version.FindStringSubmatch(string(mod))[1]) {
		t.Errorf("the recipe builds with another Go than go.mod asks for (%v)", err)
	}
	for _, folder := range ownImports(t) {
		covered := func(source string) bool { return folder == source || strings.HasPrefix(folder, source+"/") }
		if !slices.ContainsFunc(sources, covered) {
			t.Errorf("the program needs %s, which is not copied", folder)
		}
	}
}

func ownImports(t *testing.T) (folders []string) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.Lines(string(out)) {
		if folder, own := strings.CutPrefix(strings.TrimSpace(path), "mobilemoney.dev/operator/"); own {
			folders = append(folders, folder)
		}
	}
	return folders
}
