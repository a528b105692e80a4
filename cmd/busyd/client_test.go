package main

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A client that is generated from the document which `busyd dev` serves compiles,
// and books, reschedules and cancels there.
func TestAGeneratedClientBooks(t *testing.T) {
	p := startProcess(t, nil, "dev", "--data", openHome(t), "--listen", freeAddress(t))
	ask := tried(p)
	address, err := url.Parse(ask.url)
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + address.Host
	status, document := get(t, base+"/v1/openapi.json", "")
	if status != 200 {
		t.Fatalf("%d: %s", status, document)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/client")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "busyd"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "BUSYD_URL="+base, "BUSYD_KEY="+ask.token)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	command("tool", "oapi-codegen", "-generate", "types,client", "-package", "busyd", "-o", "busyd/client.go", "openapi.json")
	said := command("run", ".")
	for _, want := range []string{"others are told booking", "booked", "rescheduled to", "cancelled"} {
		if !strings.Contains(said, want) {
			t.Errorf("the client does not say %q:\n%s", want, said)
		}
	}
	t.Log(said)
}
