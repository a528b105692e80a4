package ews

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/busyd/busyd/providers"
)

// The answers in testdata have the shapes that the documentation shows.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/answers/" + name + ".xml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFindItemAnswer(t *testing.T) {
	var got answers[viewMessage]
	if err := decode(sample(t, "finditem"), "FindItemResponse", &got); err != nil {
		t.Fatal(err)
	}
	m, err := got.only()
	if err != nil || m.Root == nil || m.Root.Total != 3 || !isTrue(m.Root.Last) || len(m.Root.Items.List) != 3 {
		t.Fatalf("%+v, %v", m, err)
	}
	var lines []string
	for _, i := range m.Root.Items.List {
		e, problem := i.event("v", berlin)
		if problem != "" || i.lacks() {
			t.Errorf("%s: %q", e.Key, problem)
		}
		lines = append(lines, e.Key+" "+e.Start.String()+" "+e.End.String()+" "+e.State.String()+" "+e.Subject)
	}
	want := "AAMkADE1 2026-03-02T08:00:00Z 2026-03-02T09:30:00Z out_of_office Budget meeting\n" +
		"AAMkADE2 2026-03-03 2026-03-04 free \n" +
		"AAMkADE3 2026-03-05T08:00:00Z 2026-03-05T08:30:00Z busy "
	if strings.Join(lines, "\n") != want {
		t.Errorf("%s", strings.Join(lines, "\n"))
	}
}

func TestSyncFolderItemsAnswer(t *testing.T) {
	var got answers[syncMessage]
	if err := decode(sample(t, "syncfolderitems"), "SyncFolderItemsResponse", &got); err != nil {
		t.Fatal(err)
	}
	m, err := got.only()
	if err != nil || m.State != "H4sIAAAA==" || len(m.Changes.List) != 3 || m.Changes.List[2].XMLName.Local != "ReadFlagChange" {
		t.Fatalf("%+v, %v", m, err)
	}
}

func TestGetFolderAnswer(t *testing.T) {
	var got answers[foldersMessage]
	if err := decode(sample(t, "getfolder"), "GetFolderResponse", &got); err != nil {
		t.Fatal(err)
	}
	if f, ok := got.List[0].folder(); !ok || f.Self.ID != "AAMkADEfolder" || f.Name != "Calendar" {
		t.Errorf("%+v", f)
	}
	if err := got.List[1].err(); providers.CodeOf(err) != codeDenied {
		t.Error(err)
	}
	if _, err := got.only(); err == nil {
		t.Error("two messages are one")
	}
}

func TestServerBusyAnswer(t *testing.T) {
	err := decode(sample(t, "serverbusy"), "FindItemResponse", nil)
	if providers.FaultOf(err) != providers.Throttled || providers.AfterOf(err) != 297749*time.Millisecond {
		t.Error(err)
	}
}

func TestStreamingAnswer(t *testing.T) {
	events := make(chan struct{}, 1)
	if err := readEvents(bytes.NewReader(sample(t, "streamingevents")), events); err != nil || len(events) != 1 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	whole := sample(t, "streamingevents")
	for _, n := range []int{0, 10, len(whole) / 2, bytes.Index(whole, []byte("Closed"))} {
		if err := readEvents(bytes.NewReader(whole[:n]), events); err == nil {
			t.Errorf("a stream of %d bytes ended well", n)
		}
	}
}

// No beginning of an answer is an answer.
func TestAnswersThatBreakOff(t *testing.T) {
	whole := bytes.TrimSpace(sample(t, "finditem"))
	for n := range len(whole) {
		var got answers[viewMessage]
		if err := decode(whole[:n], "FindItemResponse", &got); err == nil {
			t.Fatalf("%d bytes of %d are an answer", n, len(whole))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{"finditem", "syncfolderitems", "getfolder", "serverbusy"} {
		f.Add(sample(f, name))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got answers[viewMessage]
		if err := decode(data, "FindItemResponse", &got); err != nil {
			if e := err.Error(); strings.ContainsAny(e, "<>&\x00") {
				t.Errorf("the error repeats the answer: %q", e)
			}
			return
		}
		for _, m := range got.List {
			if m.Root == nil || m.Root.Items == nil {
				continue
			}
			for _, i := range m.Root.Items.List {
				e, problem := i.event(i.version(berlin), berlin)
				if e.Start.IsZero() == (problem == "") || e.Start.Date != e.End.Date {
					t.Errorf("%s to %s, %q", e.Start, e.End, problem)
				}
			}
		}
	})
}
