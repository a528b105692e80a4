package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/busyd/busyd/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	for _, run := range []string{"first", "second"} {
		t.Run(run, func(t *testing.T) {
			env := storetest.New(t)
			tenant, _, calendar := env.Calendar(t, "same name")
			tenants, err := env.Store.Tenants(context.Background())
			if err != nil || len(tenants) != 1 || tenants[0] != tenant {
				t.Fatalf("tenants %v, %v", tenants, err)
			}
			found, err := env.Store.Calendar(context.Background(), tenant.ID, calendar.ID)
			if err != nil || found != calendar {
				t.Fatalf("calendar %+v, %v, want %+v", found, err, calendar)
			}
		})
	}
}

const doomedEnv = "BUSYD_STORETEST_DOOMED"

// A test process that panics, in whatever test, leaves neither server nor data.
func TestAPanicLeavesNothingBehind(t *testing.T) {
	if os.Getenv(doomedEnv) != "" {
		config, err := pgx.ParseConfig(storetest.New(t).OwnerURL)
		fmt.Println(err, "socket", config.Host)
		panic("as planned")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAPanicLeavesNothingBehind$")
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, storetest.URLEnv) }),
		doomedEnv+"=1")
	out, err := cmd.Output()
	_, after, found := strings.Cut(string(out), "<nil> socket ")
	if err == nil || !found {
		t.Fatalf("%v\n%s", err, out)
	}
	dir, _, _ := strings.Cut(after, "\n")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is left", dir)
		}
	}
}
