package manager

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryRecreationIsOnThePageAndBack(t *testing.T) {
	read := func(path, pattern string) (found []string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			found = append(found, string(m[1]))
		}
		return found
	}
	const spec, story = `\tIt\("(?:K\d\w )?([^"]+)"`, `(?m)^\t\t"([^"]+)": +\w`
	sections := read("../../docs/recreation.md", `(?m)^### (.+)$`)
	proved := slices.Concat(read("recreation_test.go", spec), read("restore_test.go", spec), read("../payment/again_test.go", story))
	slices.Sort(sections)
	slices.Sort(proved)
	if len(sections) < 20 || !slices.Equal(sections, proved) {
		t.Errorf("docs/recreation.md has the sections\n%q; proved are\n%q", sections, proved)
	}
}

func TestEveryAttackIsOnThePageAndBack(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string][]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([GHIJ]-?\d+) \|.*\| ([^|]+) \|$`).FindAllStringSubmatch(string(page), -1) {
		if listed[row[1]] != nil {
			t.Errorf("docs/security.md lists %s twice", row[1])
		}
		for _, name := range regexp.MustCompile("`([^`]+_test.go)`").FindAllStringSubmatch(row[2], -1) {
			listed[row[1]] = append(listed[row[1]], name[1])
		}
	}
	if len(listed) < 46 {
		t.Fatalf("only %d attacks are listed", len(listed))
	}
	proved := attacksInTests(t)
	for id, files := range listed {
		if len(files) == 0 {
			t.Errorf("docs/security.md names no test for %s", id)
		}
		for _, file := range files {
			if !slices.Contains(proved[id], file) {
				t.Errorf("docs/security.md: %s has no test that begins with %s", file, id)
			}
		}
	}
	for id, files := range proved {
		for _, file := range files {
			if !slices.Contains(listed[id], file) {
				t.Errorf("docs/security.md does not say of %s that it is tested in %s", id, file)
			}
		}
	}
}

// attacksInTests are the files that have a test with an attack's id in front of its
// title, or of its name (TestG12_SlowLoris).
func attacksInTests(t *testing.T) map[string][]string {
	t.Helper()
	proved := map[string][]string{}
	title := regexp.MustCompile("[\"`]((?:(?:[GHJ]\\d+|I-\\d+) )+)\\S|func (?:Test|Fuzz)((?:[GHIJ]\\d+)+)[A-Z_]")
	root := os.DirFS("../..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "bin" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := fs.ReadFile(root, path)
		for _, found := range title.FindAllSubmatch(source, -1) {
			for _, m := range regexp.MustCompile(`([GHIJ])-?(\d+)`).FindAllStringSubmatch(string(found[1])+string(found[2]), -1) {
				id := strings.Replace(m[1], "I", "I-", 1) + m[2]
				if !slices.Contains(proved[id], path) {
					proved[id] = append(proved[id], path)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return proved
}
