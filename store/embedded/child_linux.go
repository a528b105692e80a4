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
