// Package docs holds the pages against the tree: what they name exists, and what they promise is what the code does.
package docs

import (
	"os"
	"strings"
	"testing"
)

// page of this folder, or of the repository by a path that begins with ../.
func page(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tableAfter returns the rows of the first table after a heading, the head first. Cells are without blanks around them.
func tableAfter(t *testing.T, name, heading string) [][]string {
	t.Helper()
	_, text, found := strings.Cut(page(t, name), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/%s has no heading %q", name, heading)
	}
	var rows [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			if len(rows) > 0 {
				return rows
			}
			continue
		case strings.HasPrefix(line, "|---"):
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	return rows
}
