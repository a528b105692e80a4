package embedded

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// dieWithParent makes the kernel stop the child, cleanly, when this process is
// killed. The signal follows the thread that started the child.
func dieWithParent(attributes *syscall.SysProcAttr) { attributes.Pdeathsig = syscall.SIGINT }

// serves reports whether a process works in the data directory, as a server does.
func serves(pid int, data string) bool {
	where, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	return err == nil && where == resolve(data)
}

// serving lists the processes that work in the data directory.
func serving(data string) []int {
	found, _ := filepath.Glob("/proc/[0-9]*")
	var pids []int
	for _, dir := range found {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && serves(pid, data) {
			pids = append(pids, pid)
		}
	}
	return pids
}
