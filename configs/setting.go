package configs

import (
	"reflect"
	"strings"

	"github.com/busyd/busyd/busy"
)

// Prefix begins the name of every environment variable of busyd.
const Prefix = "BUSYD_"

// fileSuffix turns the key of a secret into the key of the file that holds it.
const fileSuffix = "_file"

// setting is one leaf of Config.
type setting struct {
	key   string // sync.poll_min
	value any    // a pointer to the field
}

func (s setting) secret() bool {
	_, ok := s.value.(*busy.Secret)
	return ok
}

func (s setting) list() bool {
	return reflect.TypeOf(s.value).Elem().Kind() == reflect.Slice && !s.secret()
}

// variable is the environment variable of a key.
func variable(key string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// settings lists the leaves of c in the order of its fields.
func settings(c *Config) []setting {
	return leaves("", reflect.ValueOf(c).Elem())
}

func leaves(under string, v reflect.Value) []setting {
	var all []setting
	for i := range v.NumField() {
		key := under + v.Type().Field(i).Tag.Get("yaml")
		field := v.Field(i)
		if field.Kind() == reflect.Struct {
			all = append(all, leaves(key+".", field)...)
			continue
		}
		all = append(all, setting{key, field.Addr().Interface()})
	}
	return all
}

// names are the keys that may be written: those of the settings, and for a
// secret that of its file.
func names(all []setting) []string {
	var keys []string
	for _, s := range all {
		keys = append(keys, s.key)
		if s.secret() {
			keys = append(keys, s.key+fileSuffix)
		}
	}
	return keys
}

// nearest returns the known name that a typing error is most likely to have
// meant, and "" if none is close.
func nearest(name string, known []string) string {
	best, least := "", len(name)/2+1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// distance is the number of letters to insert, remove or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
