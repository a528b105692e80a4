//go:build unix

package embedded

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a process that ends with this one.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startChild starts cmd from a thread that lives as long as the child: the
// kernel takes the thread's end for the parent's.
func startChild(cmd *exec.Cmd) (*child, error) {
	dieWithParent(cmd.SysProcAttr)
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(c.done)
	}()
	return c, <-started
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// interrupt asks for what PostgreSQL calls a fast shutdown.
func (c *child) interrupt() { _ = c.cmd.Process.Signal(os.Interrupt) }

func (c *child) kill() { _ = c.cmd.Process.Kill() }

// postmasterID is the process that says it serves the data directory; 0: none.
func postmasterID(data string) int {
	content, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0
	}
	return pid
}

// stopLeftover stops the server that a killed process left on the directory, and
// leaves alone a process that was given the same id meanwhile.
func stopLeftover(data string) {
	pid := postmasterID(data)
	if pid <= 1 || !serves(pid, data) {
		return
	}
	if syscall.Kill(pid, syscall.SIGINT) != nil {
		return
	}
	for range 100 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
