package docs

import (
	"flag"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/controllers/manager"
)

// commands on a page, one for each line of a shell's block that begins one, and those in
// the running text. What is continued on the next line, or stands in quotes, is one.
func commands(text string) []string {
	var found []string
	for _, b := range blocks(text) {
		if b.language == "sh" || b.language == "" && strings.HasPrefix(b.text, "kubectl") {
			found = append(found, shellLines(b.text)...)
		}
	}
	for _, s := range spans(text) {
		if regexp.MustCompile(`^(kubectl|make|go run|go test|etcdutl) \S`).MatchString(s) {
			found = append(found, s)
		}
	}
	return found
}

// shellLines joins what belongs together, and drops comments.
func shellLines(text string) []string {
	var lines []string
	open := ""
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = open + strings.TrimRight(line, "\n")
		open = ""
		if strings.Count(line, "'")%2 == 1 && !strings.Contains(line, "#") {
			open = line + " "
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// words of a command: blanks in quotes do not part.
func words(command string) []string {
	return regexp.MustCompile(`(?:[^\s'"]|'[^']*'|"[^"]*")+`).FindAllString(command, -1)
}

// A reader who copies a command has all of it: files that exist, and targets of make.
// TestCommands_Run sees what else kubectl needs.
func TestCommands_CanBeCopied(t *testing.T) {
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(page(t, "../Makefile"), -1) {
		targets[m[1]] = true
	}
	found := 0
	for name, text := range pages(t) {
		for _, c := range commands(text) {
			found++
			for _, part := range strings.Split(c, " | ") {
				if complaint := wrong(words(part), targets); complaint != "" {
					t.Errorf("%s: %s: %s", name, part, complaint)
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("found %d commands", found)
	}
}

// wrong says what is wrong with a command; "" for nothing that is known here.
func wrong(command []string, targets map[string]bool) string {
	switch {
	case len(command) > 1 && command[0] == "make" && !targets[command[1]]:
		return "there is no such target"
	case len(command) > 2 && command[0] == "go" && (command[1] == "run" || command[1] == "test"):
		return missing(strings.TrimPrefix(command[2], "./"))
	case command[0] == "kubectl":
		for i, a := range command[:len(command)-1] {
			if a == "-f" || a == "-k" {
				return missing(command[i+1])
			}
		}
	}
	return ""
}

// missing says that a file is not there, unless the reader makes it.
func missing(name string) string {
	if madeByReader(name) || slices.Contains([]string{"first.yaml", "-"}, name) {
		return ""
	}
	if _, err := fs.Stat(os.DirFS(".."), path.Clean(name)); err != nil {
		return name + " does not exist"
	}
	return ""
}

// managerFlags are those of the manager.
func managerFlags() *flag.FlagSet {
	fs := flag.NewFlagSet("manager", flag.ContinueOnError)
	o := manager.DefaultOptions()
	o.Bind(fs)
	return fs
}

// The table of flags has a row for each, with its default.
func TestCommands_FlagTable(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "$POD_NAMESPACE")
	told := map[string]string{}
	for _, row := range tableAfter(t, "operations.md", "## Flags")[1:] {
		names, values := strings.Split(row[0], ", "), strings.Split(row[1], ", ")
		for i, name := range names {
			told[strings.Trim(name, "`-")] = strings.Trim(values[min(i, len(values)-1)], "`")
		}
	}
	managerFlags().VisitAll(func(f *flag.Flag) {
		want, onPage := told[f.Name]
		delete(told, f.Name)
		value, _, _ := strings.Cut(want, "` (")
		d, err := time.ParseDuration(value)
		same := value == f.DefValue || f.DefValue == "" && (value == "none" || value == "made once") || err == nil && d.String() == f.DefValue
		if !onPage || !same {
			t.Errorf("docs/operations.md: the default of --%s is %q, and the manager has %q", f.Name, want, f.DefValue)
		}
	})
	for name := range told {
		t.Errorf("docs/operations.md has a row for --%s, which does not exist", name)
	}
}

// Flags that a page names are those of the manager, or of a program that is known here.
func TestCommands_FlagsExist(t *testing.T) {
	known := map[string]bool{}
	managerFlags().VisitAll(func(f *flag.Flag) { known["--"+f.Name] = true })
	for _, other := range []string{
		"--zap-log-level", "--zap-encoder", "--zap-devel", "--zap-stacktrace-level", "--zap-time-encoding", "--kubeconfig", // of controller-runtime
		"--bump-revision", "--mark-compacted", // of etcdutl
		"--force", "--for", "--list", "--overwrite", // of kubectl
	} {
		known[other] = true
	}
	for name, text := range pages(t) {
		if strings.HasPrefix(name, "docs/adr/") {
			continue
		}
		for _, s := range spans(text) {
			for _, f := range regexp.MustCompile(`(?:^|\s)(--[a-z][a-z-]+)`).FindAllStringSubmatch(s, -1) {
				if !known[f[1]] && !strings.HasPrefix(s, "kubectl") && !strings.HasPrefix(s, "etcdutl") {
					t.Errorf("%s names the flag %s, which does not exist", name, f[1])
				}
			}
		}
	}
}

func TestCommands_WrongOnesAreSeen(t *testing.T) {
	for command, right := range map[string]bool{
		"kubectl get pay -n shop -w":      true,
		"kubectl apply -k config/default": true,
		"kubectl apply -k config/nowhere": false,
		"make demo":                       true,
		"make money":                      false,
		"go run ./hack/soak":              true,
		"go run ./hack/nothing":           false,
	} {
		if got := wrong(words(command), map[string]bool{"demo": true}); (got == "") != right {
			t.Errorf("%s: %q", command, got)
		}
	}
}
