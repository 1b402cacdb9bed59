package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// The guard ends our programs only, and only if we could not.
func TestGuard(t *testing.T) {
	g := NewWithT(t)
	dir := filepath.Join(t.TempDir(), "demo")
	g.Expect(os.Mkdir(dir, 0o700)).To(Succeed())
	shell, err := exec.LookPath("sh")
	g.Expect(err).NotTo(HaveOccurred())
	run := func(name string) (ended chan struct{}) {
		cmd := &exec.Cmd{Path: shell, Args: []string{name, "-c", "read forever", dir}}
		in, err := cmd.StdinPipe()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(cmd.Start()).To(Succeed())
		ended = make(chan struct{})
		go func() {
			defer close(ended)
			_ = cmd.Wait()
		}()
		t.Cleanup(func() {
			_ = in.Close()
			<-ended
		})
		return ended
	}
	etcd, pager := run("etcd"), run("less")
	g.Eventually(func() []int { return StartedFor(dir, "etcd") }).Should(HaveLen(1))

	g.Expect(guard(dir, strings.NewReader("all is done"))).To(Succeed())
	g.Consistently(etcd, "200ms").ShouldNot(BeClosed())
	g.Expect(dir).To(BeADirectory())

	g.Expect(guard(dir, strings.NewReader(""))).To(Succeed())
	g.Eventually(etcd).Should(BeClosed())
	g.Consistently(pager, "200ms").ShouldNot(BeClosed())
	g.Expect(dir).NotTo(BeADirectory())
}
