// Command generate writes the table of Windows zone names from CLDR's
// windowsZones.json, as the npm package cldr-core ships it:
//
//	npm pack cldr-core && tar xzf cldr-core-*.tgz
//	WINDOWS_ZONES=$PWD/package/supplemental/windowsZones.json go generate ./providers/zones
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"log"
	"os"
	"slices"
	"strings"
	"time"
)

// world is CLDR's territory for "wherever the zone name is used".
const world = "001"

type cldr struct {
	Supplemental struct {
		Version struct {
			CLDR string `json:"_cldrVersion"`
		} `json:"version"`
		WindowsZones struct {
			Zones []struct {
				Map struct {
					Windows   string `json:"_other"`
					IANA      string `json:"_type"`
					Territory string `json:"_territory"`
				} `json:"mapZone"`
			} `json:"mapTimezones"`
		} `json:"windowsZones"`
	} `json:"supplemental"`
}

func main() {
	if len(os.Args) != 3 || os.Args[1] == "" {
		log.Fatal("usage: generate windowsZones.json table.go; set WINDOWS_ZONES to the path of the former")
	}
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	source, err := table(raw)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[2], source, 0o644); err != nil {
		log.Fatal(err)
	}
}

// table returns the Go source of the tables, sorted, so that a new release of
// CLDR reads as a small difference.
func table(raw []byte) ([]byte, error) {
	var doc cldr
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	windows := map[string]string{}
	names := map[string]string{}
	for _, z := range doc.Supplemental.WindowsZones.Zones {
		for name := range strings.FieldsSeq(z.Map.IANA) {
			if _, err := time.LoadLocation(name); err != nil {
				return nil, err
			}
			names[strings.ToLower(name)] = name
		}
		if z.Map.Territory == world {
			windows[strings.ToLower(z.Map.Windows)] = z.Map.IANA
		}
	}
	if len(windows) == 0 {
		return nil, fmt.Errorf("there is no zone for territory %s", world)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated from CLDR %s windowsZones.json by ./generate; DO NOT EDIT.\n\npackage zones\n\n", doc.Supplemental.Version.CLDR)
	write(&b, "windows maps Windows zone names, in lower case, to IANA names.", "windows", windows)
	write(&b, "spelling maps IANA names in lower case to their proper spelling.", "spelling", names)
	return format.Source(b.Bytes())
}

func write(b *bytes.Buffer, comment, name string, m map[string]string) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	fmt.Fprintf(b, "// %s\nvar %s = map[string]string{\n", comment, name)
	for _, k := range keys {
		fmt.Fprintf(b, "%q: %q,\n", k, m[k])
	}
	b.WriteString("}\n\n")
}
