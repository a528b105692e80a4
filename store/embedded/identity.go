//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that PostgreSQL runs as. It refuses to be root.
type identity struct {
	name string
	uid  int
	gid  int
	drop bool // this process is root: files are given away and the child changes user
}

func chooseIdentity() (identity, error) {
	if os.Geteuid() != 0 {
		return identity{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		if errUID == nil && errGID == nil && uid != 0 {
			return identity{name: name, uid: uid, gid: gid, drop: true}, nil
		}
	}
	return identity{}, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor a user " +
		"nobody to run it as: create one, or start busyd as another user")
}

// own makes a directory that only the identity may enter.
func (id identity) own(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { // those above it must be open to pass through
		return fmt.Errorf("make the data directory: %w", err)
	}
	if id.drop {
		if err := os.Chown(dir, id.uid, id.gid); err != nil {
			return fmt.Errorf("give the data directory to %s: %w", id.name, err)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("protect the data directory: %w", err)
	}
	return nil
}

// canReach checks that the identity may pass through every directory above dir.
func (id identity) canReach(dir string) error {
	if !id.drop {
		return nil
	}
	for parent := filepath.Dir(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at %s: %w", parent, err)
		}
		if !id.mayEnter(info) {
			return fmt.Errorf("as root, PostgreSQL runs as user %s, who may not enter %s: choose a data directory "+
				"elsewhere, such as one below /var/lib or %s", id.name, parent, os.TempDir())
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

func (id identity) mayEnter(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	switch {
	case int(stat.Uid) == id.uid:
		return info.Mode()&0o100 != 0
	case int(stat.Gid) == id.gid:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

func (id identity) attributes() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if id.drop {
		attributes.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return attributes
}
