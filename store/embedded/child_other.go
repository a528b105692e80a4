//go:build unix && !linux

package embedded

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent does nothing where the kernel cannot: the next start finds the
// server that was left behind and stops it.
func dieWithParent(*syscall.SysProcAttr) {}

// serves reports whether a process is a server of the data directory.
func serves(pid int, data string) bool {
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && strings.Contains(string(out), "postgres") && strings.Contains(string(out), data)
}

// serving cannot tell a session's process from others. They end by themselves when
// they notice that the server did.
func serving(string) []int { return nil }
