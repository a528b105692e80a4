package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The marks begin with one of these, in letters alone, so that escaping leaves
// them as they are. What follows tells where a mark was put.
const (
	nowhere = "zqnowhere" // what must not be kept or shown at all; the credential is one
	subject = "zqsubject" // is kept sealed, and shown by nothing but `busyd expand`
	naming  = "zqnaming"  // a calendar's name: is kept sealed, and shown to its tenant
)

// needle is what is searched for.
type needle struct {
	name   string
	folded [][]byte // forms to find whatever their case
	exact  [][]byte
}

// newNeedle makes the forms in which a text or a key may be written down: as it
// is, in hexadecimal digits and, at each of three offsets, in base64.
func newNeedle(name string, secret []byte) needle {
	n := needle{name: name, folded: [][]byte{bytes.ToLower(secret), []byte(hex.EncodeToString(secret))}}
	for _, secret := range [][]byte{secret, bytes.ToUpper(secret)} {
		n.folded = append(n.folded, []byte(hex.EncodeToString(secret)))
		for offset := range 3 {
			shifted := append(make([]byte, offset), secret...)
			first, last := (offset*8+5)/6, len(shifted)*8/6 // digits that hold nothing else
			for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
				n.exact = append(n.exact, []byte(alphabet.EncodeToString(shifted)[first:last]))
			}
		}
	}
	return n
}

// find returns where the needle is in content, whose lower-case form is folded;
// less than 0: nowhere.
func (n needle) find(content, folded []byte) int {
	for _, form := range n.folded {
		if at := bytes.Index(folded, form); at >= 0 {
			return at
		}
	}
	for _, form := range n.exact {
		if at := bytes.Index(content, form); at >= 0 {
			return at
		}
	}
	return -1
}

// Every form of a needle is found, and nothing where there is none.
func TestNeedles(t *testing.T) {
	n := newNeedle("subject", []byte(subject))
	for _, around := range []string{"", "a", "bc", "def"} {
		text := around + subject + "room" + around
		for form, content := range map[string]string{
			"plain": text, "upper case": strings.ToUpper(text),
			"hexadecimal": hex.EncodeToString([]byte(text)), "upper-case hexadecimal": fmt.Sprintf("%X", text),
			"base64": base64.StdEncoding.EncodeToString([]byte(text)), "base64 of upper case": base64.URLEncoding.EncodeToString([]byte(strings.ToUpper(text))),
		} {
			if n.find([]byte(content), bytes.ToLower([]byte(content))) < 0 {
				t.Errorf("%s after %q is not found", form, around)
			}
		}
	}
	mark := newMark("mark", "CANARY")
	for text, found := range map[string]bool{"a CANARY": true, hex.EncodeToString([]byte("a CANARY")): true, "a canary": false} {
		if (mark.find([]byte(text), bytes.ToLower([]byte(text))) >= 0) != found {
			t.Errorf("the mark is found in %s: %t", text, !found)
		}
	}
	innocent := []byte("a subject, base64: " + base64.StdEncoding.EncodeToString([]byte("zqsubj and ject")))
	if at := n.find(innocent, bytes.ToLower(innocent)); at >= 0 {
		t.Errorf("found at %d of %s", at, innocent)
	}
}

// trail is all that busyd has left behind.
type trail struct {
	t       testing.TB
	needles []needle
	// allowed lists, by place, the needles that may be there.
	allowed map[string][]string

	mu     sync.Mutex
	pieces []piece
}

type piece struct {
	place   string
	content []byte
}

func newTrail(t testing.TB) *trail {
	return &trail{
		t: t, allowed: map[string][]string{},
		needles: []needle{newNeedle(nowhere, []byte(nowhere)), newNeedle(subject, []byte(subject)), newNeedle(naming, []byte(naming))},
	}
}

func (tr *trail) add(place string, content []byte) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.pieces = append(tr.pieces, piece{place, content})
}

// addFiles adds every file below the directory.
func (tr *trail) addFiles(place, directory string) {
	tr.t.Helper()
	files := 0
	err := filepath.WalkDir(directory, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		tr.add(place+" "+strings.TrimPrefix(path, directory), content)
		files++
		return err
	})
	if err != nil || files == 0 {
		tr.t.Fatalf("%s: %d files, %v", place, files, err)
	}
}

// mustHold checks that a text is in a place whose name begins so.
func (tr *trail) mustHold(place, text string) {
	tr.t.Helper()
	if !slices.ContainsFunc(tr.pieces, func(p piece) bool {
		return strings.HasPrefix(p.place, place) && bytes.Contains(p.content, []byte(text))
	}) {
		tr.t.Errorf("%s does not hold %q", place, text)
	}
}

// judge searches everything. A place that may hold a needle must: a needless
// exception would hide a leak.
func (tr *trail) judge() {
	tr.t.Helper()
	seen := map[string]bool{}
	for _, p := range tr.pieces {
		folded := bytes.ToLower(p.content)
		for _, n := range tr.needles {
			at := n.find(p.content, folded)
			if at < 0 {
				continue
			}
			if slices.Contains(tr.allowed[p.place], n.name) {
				seen[p.place+n.name] = true
				continue
			}
			around := p.content[max(0, at-80):min(len(p.content), at+120)]
			tr.t.Errorf("%s holds %s: %q", p.place, n.name, around)
		}
	}
	for _, place := range slices.Sorted(maps.Keys(tr.allowed)) {
		for _, name := range tr.allowed[place] {
			if !seen[place+name] {
				tr.t.Errorf("%s may hold %s and does not", place, name)
			}
		}
	}
}
