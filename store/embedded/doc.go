// Package embedded runs the servers that busyd needs without anything being
// configured: a private PostgreSQL as a child process, from the binaries of the
// machine, and a Redis in this process. `busyd dev` and the tests use it.
package embedded
