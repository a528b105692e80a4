package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// PathVariable names the configuration file, where --config does not.
const PathVariable = Prefix + "CONFIG"

// BinariesVariable names the folder of PostgreSQL's server programs, for the
// private server of busyd dev. It is not a setting of the daemon.
const BinariesVariable = Prefix + "PG_BIN"

// Load reads the file at path, if path is not empty, then environ, whose entries
// have the form of os.Environ. The error lists everything that is wrong, each
// with its key, what it must look like and, in the file, the line. It holds no
// value, so that it is safe to print.
func Load(path string, environ []string) (Config, error) {
	c := Default()
	all := settings(&c)
	var problems []error
	if path != "" {
		problems = readFile(path, all)
	}
	problems = append(problems, readEnvironment(environ, all)...)
	if len(problems) == 0 {
		problems = c.check()
	}
	return c, errors.Join(problems...)
}

// source applies what one source says, and remembers which settings it set, for
// a secret must not come both directly and from a file.
type source struct {
	all  []setting
	dir  string // what the names of files are relative to
	name func(key string) string
	seen map[string]bool
}

func (s source) apply(key string, words []string) error {
	for _, leaf := range s.all {
		if leaf.key == key {
			if strings.HasSuffix(key, fileSuffix) { // it is read later, by the name
				for i, name := range words {
					words[i] = s.locate(name)
				}
			}
			return s.assign(leaf, key, words)
		}
		if leaf.secret() && leaf.key+fileSuffix == key {
			content, err := s.read(words)
			if err != nil {
				return fmt.Errorf("%s %w", s.name(key), err)
			}
			return s.assign(leaf, key, []string{content})
		}
	}
	return s.unknown(key)
}

func (s source) assign(leaf setting, key string, words []string) error {
	if s.seen[leaf.key] {
		return fmt.Errorf("%s is given twice, directly and as %s: remove one of them", s.name(leaf.key), s.name(leaf.key+fileSuffix))
	}
	s.seen[leaf.key] = true
	if err := set(leaf.value, words); err != nil {
		return fmt.Errorf("%s %w", s.name(key), err)
	}
	return nil
}

func (s source) read(words []string) (string, error) {
	if len(words) != 1 {
		return "", errors.New("must name one file")
	}
	content, err := os.ReadFile(s.locate(words[0]))
	if err != nil {
		return "", fmt.Errorf("must name a readable file: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// locate is where a file is that the source names.
func (s source) locate(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.dir, path)
}

func (s source) unknown(key string) error {
	if near := nearest(key, names(s.all)); near != "" {
		return fmt.Errorf("%s is no setting; did you mean %s?", s.name(key), s.name(near))
	}
	return fmt.Errorf("%s is no setting; see configs/busyd.example.yaml for those there are", s.name(key))
}

func readFile(path string, all []setting) []error {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return []error{fmt.Errorf("there is no configuration file %s: name it with --config or %s", path, PathVariable)}
	}
	if err != nil {
		return []error{fmt.Errorf("read the configuration file: %w", err)}
	}
	var doc yaml.Node
	switch err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil // nothing but comments
	case err != nil:
		// The parser's own words may hold a piece of a secret.
		return []error{fmt.Errorf("%s is not YAML, near line %s: quote values that hold special characters", path, lineOf(err))}
	}
	s := source{all, filepath.Dir(path), func(key string) string { return key }, map[string]bool{}}
	var problems []error
	for _, p := range s.walk("", doc.Content[0]) {
		problems = append(problems, fmt.Errorf("%s, %w", path, p))
	}
	return problems
}

func lineOf(err error) string {
	line := regexp.MustCompile(`line (\d+)`).FindStringSubmatch(err.Error())
	if line == nil {
		return "unknown"
	}
	return line[1]
}

// walk applies the mapping node, whose keys lie under a prefix such as "sync.".
func (s source) walk(under string, node *yaml.Node) (problems []error) {
	if node.Kind != yaml.MappingNode {
		return []error{fmt.Errorf("line %d: must be keys with values", node.Line)}
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := under+node.Content[i].Value, node.Content[i+1]
		if s.isGroup(key) {
			if value.Tag != "!!null" { // every key of it is commented out
				problems = append(problems, s.walk(key+".", value)...)
			}
			continue
		}
		words, err := wordsOf(value)
		if err == nil {
			err = s.apply(key, words)
		} else {
			err = fmt.Errorf("%s %w", key, err)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", node.Content[i].Line, err))
		}
	}
	return problems
}

func (s source) isGroup(key string) bool {
	return slices.ContainsFunc(s.all, func(leaf setting) bool { return strings.HasPrefix(leaf.key, key+".") })
}

func wordsOf(node *yaml.Node) ([]string, error) {
	switch node.Kind {
	case yaml.ScalarNode:
		if node.Tag == "!!null" {
			return nil, errors.New("has no value: give one or remove the key")
		}
		return []string{node.Value}, nil
	case yaml.SequenceNode:
		words := make([]string, 0, len(node.Content))
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return nil, errors.New("must be a list of plain values")
			}
			words = append(words, item.Value)
		}
		return words, nil
	default:
		return nil, errors.New("must be a value or a list of values")
	}
}

// serviceLink matches what Kubernetes puts into the environment of a pod that
// has a service called busyd.
var serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_.*)?$|_PORT$|_PORT_\d+_(TCP|UDP)(_.*)?$`)

func readEnvironment(environ []string, all []setting) (problems []error) {
	keys := map[string]string{}
	for _, key := range names(all) {
		keys[variable(key)] = key
	}
	s := source{all, "", variable, map[string]bool{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, Prefix) || name == PathVariable || name == BinariesVariable || value == "" {
			continue // an empty variable counts as not set
		}
		key, known := keys[name]
		if !known && serviceLink.MatchString(name) {
			continue
		}
		if !known {
			key = strings.ToLower(strings.TrimPrefix(name, Prefix))
		}
		if err := s.apply(key, split(value, all, key)); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// split cuts the value of a list at its commas.
func split(value string, all []setting, key string) []string {
	i := slices.IndexFunc(all, func(leaf setting) bool { return leaf.key == key })
	if i < 0 || !all[i].list() {
		return []string{value}
	}
	var words []string
	for word := range strings.SplitSeq(value, ",") {
		words = append(words, strings.TrimSpace(word))
	}
	return words
}
