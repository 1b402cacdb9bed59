package docs

import (
	"maps"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// block is a fenced part of a page.
type block struct{ language, text string }

// pages are README and all of docs, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := files(t, ".md")
	maps.DeleteFunc(all, func(name, _ string) bool { return name != "README.md" && !strings.HasPrefix(name, "docs/") })
	if len(all) < 30 {
		t.Fatalf("found %d pages", len(all))
	}
	return all
}

func fence() *regexp.Regexp { return regexp.MustCompile("(?ms)^ *```([a-z]*)\n(.*?)^ *```$") }

func blocks(text string) []block {
	var found []block
	for _, m := range fence().FindAllStringSubmatch(text, -1) {
		found = append(found, block{m[1], m[2]})
	}
	return found
}

// spans are the pieces of code in the running text.
func spans(text string) []string {
	var found []string
	for _, m := range regexp.MustCompile("`([^`\n]+(?:\n[^`\n]+)?)`").FindAllStringSubmatch(fence().ReplaceAllString(text, ""), -1) {
		found = append(found, strings.Join(strings.Fields(m[1]), " "))
	}
	return found
}

// slug is the anchor of a heading.
func slug(heading string) string {
	heading = regexp.MustCompile("[`*]|[^\\w\\s-]").ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(strings.TrimSpace(heading), " ", "-")
}

func anchors(text string) map[string]bool {
	found := map[string]bool{"": true}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(fence().ReplaceAllString(text, ""), -1) {
		found[slug(m[1])] = true
	}
	return found
}

func TestPages_LinksLeadSomewhere(t *testing.T) {
	all, tree := files(t, ".md"), files(t, ".go", ".md", ".yaml", ".example", ".sh")
	for name, text := range pages(t) {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			isFolder := slices.ContainsFunc(slices.Collect(maps.Keys(tree)), func(f string) bool { return strings.HasPrefix(f, strings.TrimSuffix(target, "/")+"/") })
			_, isFile := tree[target]
			switch page, isPage := all[target]; {
			case !isFile && !isFolder:
				t.Errorf("%s links to %s, which does not exist", name, m[1])
			case isPage && !anchors(page)[anchor]:
				t.Errorf("%s links to %s, which has no such heading", name, m[1])
			}
		}
	}
}

func TestPages_ObjectsAreValid(t *testing.T) {
	kinds := map[string]func() any{
		"Payment": func() any { return &v1alpha1.Payment{} }, "Refund": func() any { return &v1alpha1.Refund{} },
		"Charge": func() any { return &v1alpha1.Charge{} }, "MerchantAccount": func() any { return &v1alpha1.MerchantAccount{} },
		"ClusterMerchantAccount": func() any { return &v1alpha1.ClusterMerchantAccount{} },
	}
	found := 0
	for name, text := range pages(t) {
		for _, b := range blocks(text) {
			if b.language != "yaml" {
				continue
			}
			for _, object := range strings.Split(b.text, "\n---\n") {
				var meta struct{ APIVersion, Kind string }
				if err := yaml.Unmarshal([]byte(object), &meta); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if meta.APIVersion != v1alpha1.SchemeGroupVersion.String() {
					continue
				}
				found++
				if kinds[meta.Kind] == nil {
					t.Errorf("%s shows a %s, which is no kind", name, meta.Kind)
				} else if err := yaml.UnmarshalStrict([]byte(object), kinds[meta.Kind]()); err != nil {
					t.Errorf("%s: %s: %v", name, meta.Kind, err)
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("found %d objects", found)
	}
}

// fields of the kinds, as paths from the object.
func fields() map[string]bool {
	found := map[string]bool{}
	var walk func(prefix string, of reflect.Type, depth int)
	walk = func(prefix string, of reflect.Type, depth int) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || depth > 6 {
			return
		}
		for f := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(f).Tag.Get("json"), ",")
			next := prefix
			if name != "" {
				next = strings.TrimPrefix(prefix+"."+name, ".")
				found[next] = true
			}
			walk(next, of.Field(f).Type, depth+1)
		}
	}
	for _, o := range []any{v1alpha1.Payment{}, v1alpha1.Refund{}, v1alpha1.Charge{}, v1alpha1.MerchantAccount{}, v1alpha1.ClusterMerchantAccount{}} {
		walk("", reflect.TypeOf(o), 0)
	}
	return found
}

// What a page calls by its name is there: fields, files, words of the API, metrics.
// Decisions of the past may name what is gone.
func TestPages_NameWhatExists(t *testing.T) {
	known, tree := fields(), files(t, ".go", ".yaml", ".md", ".sh", ".example", ".mod", ".golden")
	var sources strings.Builder
	for name, text := range tree {
		if strings.HasSuffix(name, ".go") && !strings.HasPrefix(name, "docs/") || strings.HasSuffix(name, ".yaml") {
			sources.WriteString(text)
		}
	}
	code := sources.String()
	field := regexp.MustCompile(`^(spec|status|record)(\.[a-zA-Z]+)+$`)
	known["record.go"] = true // a file
	file := regexp.MustCompile(`^(api|config|controllers|hack|providers|docs)/[\w./-]+$`)
	word := regexp.MustCompile(`^[A-Z][a-z]+([A-Z][a-zA-Z]+)+$`)
	for name, text := range pages(t) {
		if strings.HasPrefix(name, "docs/adr/") {
			continue
		}
		for _, s := range spans(text) {
			s = strings.TrimSuffix(s, "/")
			under := func(f string) bool { return f == s || strings.HasPrefix(f, s+"/") }
			switch {
			case field.MatchString(s) && !known[s] && !strings.HasPrefix(s, "status.conditions"):
				t.Errorf("%s names the field %s, which does not exist", name, s)
			case file.MatchString(s) && !madeByReader(s) && !slices.ContainsFunc(slices.Collect(maps.Keys(tree)), under):
				t.Errorf("%s names the file %s, which does not exist", name, s)
			case word.MatchString(s) && !strings.Contains(code, s) && s != "RequestResponse": // of the API server's audit log
				t.Errorf("%s names %s, which is nowhere in the code", name, s)
			}
		}
	}
}

// madeByReader: a page tells the reader to make it, or it belongs to another program.
func madeByReader(file string) bool { return strings.HasPrefix(file, "config/mine") }

func TestPages_Metrics(t *testing.T) {
	have := map[string]bool{}
	declared := regexp.MustCompile(`(?s)(?:counter\("|Namespace: "mobilemoney",\s*Name: ")(\w+)"`)
	for name, text := range files(t, ".go") {
		if strings.HasPrefix(name, "controllers/") && !strings.HasSuffix(name, "_test.go") {
			for _, m := range declared.FindAllStringSubmatch(text, -1) {
				have["mobilemoney_"+m[1]] = true
			}
		}
	}
	told := map[string]bool{}
	for _, m := range regexp.MustCompile(`\bmobilemoney_\w+`).FindAllString(page(t, "operations.md"), -1) {
		told[m] = true
	}
	if len(have) < 8 || !maps.Equal(have, told) {
		t.Errorf("docs/operations.md tells of\n%v, and there are\n%v", slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(have)))
	}
}

func TestPages_JudgeChecks(t *testing.T) {
	var told, have []string
	for _, row := range tableAfter(t, "torture.md", "## What the judge checks")[1:] {
		told = append(told, strings.Trim(row[0], "`"))
	}
	for _, m := range regexp.MustCompile(`(?m)^\t[A-Z]\w+ += "([\w-]+)"$`).FindAllStringSubmatch(page(t, "../controllers/testworld/judge/judge.go"), -1) {
		have = append(have, m[1])
	}
	if !slices.Equal(told, have) {
		t.Errorf("docs/torture.md tells of\n%v, and the judge has\n%v", told, have)
	}
}

// A newcomer finds every folder of code on the page, and none that is gone.
func TestPages_Folders(t *testing.T) {
	told := map[string]bool{}
	_, text, _ := strings.Cut(page(t, "architecture.md"), "## Folders\n\n```\n")
	text, _, _ = strings.Cut(text, "```")
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, " ")
		for _, one := range regexp.MustCompile(`[a-z0-9]+`).FindAllString(path.Base(name), -1) {
			told[path.Join(path.Dir(strings.TrimSuffix(name, "/")), one)] = true
		}
	}
	have := map[string]bool{}
	for name := range files(t, ".go") {
		parts := strings.Split(name, "/")
		if len(parts) > 2 && slices.Contains([]string{"api", "controllers", "hack"}, parts[0]) || len(parts) > 2 && parts[0] == "providers" && parts[1] != "internal" {
			have[parts[0]+"/"+parts[1]] = true
		}
	}
	for name := range have {
		if !told[name] && name != "hack/tools" {
			t.Errorf("docs/architecture.md does not tell of %s", name)
		}
	}
	for name := range told {
		if slices.Contains([]string{"api", "controllers"}, path.Dir(name)) && !have[name] {
			t.Errorf("docs/architecture.md tells of %s, which does not exist", name)
		}
	}
}

func TestPages_FieldTables(t *testing.T) {
	for _, table := range []struct {
		page, heading string
		of            any
	}{
		{"payment.md", "## Spec", v1alpha1.PaymentSpec{}},
		{"payment.md", "## Status", v1alpha1.PaymentStatus{}},
		{"payment.md", "## Settling an Unknown payment", v1alpha1.Settlement{}},
		{"charge.md", "## spec: the intent", v1alpha1.ChargeSpec{}},
		{"charge.md", "## record: what has happened", v1alpha1.ChargeRecord{}},
	} {
		told, have := map[string]bool{}, map[string]bool{}
		for _, row := range tableAfter(t, table.page, table.heading)[1:] {
			for _, m := range regexp.MustCompile("`([a-zA-Z]+)`").FindAllStringSubmatch(row[0], -1) {
				told[m[1]] = true
			}
		}
		for _, f := range reflect.VisibleFields(reflect.TypeOf(table.of)) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				have[name] = true
			}
		}
		if !maps.Equal(told, have) {
			t.Errorf("docs/%s, %s tells of\n%v, and there are\n%v", table.page, table.heading, slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(have)))
		}
	}
}

func TestPages_Currencies(t *testing.T) {
	_, text, _ := strings.Cut(page(t, "payment.md"), "take whole numbers only:")
	text, _, _ = strings.Cut(text, ".")
	told := regexp.MustCompile(`[A-Z]{3}`).FindAllString(text, -1)
	have := slices.DeleteFunc(providers.Currencies(), func(c string) bool { n, _ := providers.Decimals(c); return n != 0 })
	if !slices.Equal(told, have) {
		t.Errorf("docs/payment.md lists %v, and there are %v", told, have)
	}
}

func TestPages_SoakCounts(t *testing.T) {
	_, text, _ := strings.Cut(page(t, "verification.md"), "### The judge")
	text, _, _ = strings.Cut(text, "### Running it")
	report := page(t, "../hack/soak/report.go")
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(text, -1) {
		if !strings.Contains(report, `json:"`+m[1]+`"`) {
			t.Errorf("docs/verification.md tells of the count %s, which the report has not", m[1])
		}
	}
}
