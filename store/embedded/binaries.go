package embedded

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// BinEnv names the environment variable that says where PostgreSQL's server
// binaries are.
const BinEnv = "BUSYD_PG_BIN"

// ErrNoBinaries says what to install.
var ErrNoBinaries = errors.New("PostgreSQL's server binaries (initdb, postgres) were not found: install them " +
	"(Debian, Ubuntu: postgresql; Fedora: postgresql-server; Alpine: postgresql; macOS: brew install postgresql) or set " +
	BinEnv + " to their directory")

// Binaries returns the directory of PostgreSQL's server binaries: that of
// $BUSYD_PG_BIN, else the one on the PATH, else the newest where distributions
// and Homebrew keep them.
func Binaries() (string, error) {
	if dir := os.Getenv(BinEnv); dir != "" {
		if !hasServer(dir) {
			return "", errors.New(BinEnv + " names a directory without initdb and postgres")
		}
		return dir, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if dir := filepath.Dir(resolve(path)); hasServer(dir) {
			return dir, nil
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*",
		"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
		"/opt/homebrew/bin", "/usr/local/bin", "/usr/bin",
	} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, byVersion)
		for _, dir := range slices.Backward(found) {
			if hasServer(dir) {
				return dir, nil
			}
		}
	}
	return "", ErrNoBinaries
}

// byVersion orders "9.6" before "15": a longer number is a newer version.
func byVersion(a, b string) int {
	if len(a) != len(b) && !strings.Contains(a+b, "/9.") {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func hasServer(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
