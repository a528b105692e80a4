package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// devHome is the directory in which `busyd dev` keeps everything.
type devHome string

// defaultHome is where a user's programs keep their data. PostgreSQL does not
// run as root, and its user must be able to enter, so that root has another one.
func defaultHome() (devHome, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/busyd-dev", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return devHome(filepath.Join(dir, "busyd")), nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("there is no home directory to keep data in: name one with --data: %w", err)
	}
	return devHome(filepath.Join(dir, ".local", "share", "busyd")), nil
}

func (h devHome) path(name string) string { return filepath.Join(string(h), name) }
func (h devHome) configFile() string      { return h.path("busyd.yaml") }
func (h devHome) keyFile() string         { return h.path("master.key") }

// make makes the directory, which PostgreSQL's user can pass through; what is
// secret in it is in files of its owner alone.
func (h devHome) make() error {
	if err := os.MkdirAll(string(h), 0o755); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	return nil
}

// read returns the content of a small file, and "" if there is none.
func (h devHome) read(name string) (string, error) {
	content, err := os.ReadFile(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(content)), err
}

// write replaces a small file as a whole.
func (h devHome) write(name, content string) error {
	fresh := h.path(name + ".new")
	if err := os.WriteFile(fresh, []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, h.path(name))
}

// keep returns what the file holds, after writing it once.
func (h devHome) keep(name string, first func() (string, error)) (string, error) {
	content, err := h.read(name)
	if err != nil || content != "" {
		return content, err
	}
	if content, err = first(); err != nil {
		return "", err
	}
	return content, h.write(name, content+"\n")
}

// secret returns 32 random bytes in base64, drawn once.
func (h devHome) secret(name string) (string, error) {
	return h.keep(name, func() (string, error) {
		raw := make([]byte, 32)
		_, err := rand.Read(raw)
		return base64.StdEncoding.EncodeToString(raw), err
	})
}
