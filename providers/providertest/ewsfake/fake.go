// Package ewsfake is an Exchange Server for tests: Exchange Web Services and
// Autodiscover, with NTLM, Basic and bearer authentication. It is strict where
// Exchange is, and where Exchange is not so that a mistake shows.
package ewsfake

import (
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/busyd/busyd/providers/providertest"
)

// The one user, whose password is found nowhere by chance.
const (
	Username = "ana@corp.test"
	Password = "Pa55word of Ana"
	Domain   = "corp.test"
	Host     = "mail.corp.test"
	URL      = "https://mail.corp.test/EWS/Exchange.asmx"
)

// Calendar is the name under which the main calendar is addressed.
const Calendar = "calendar"

// Options of a server. The zero Options offer NTLM and Basic.
type Options struct {
	// Expand computes the occurrences of series.
	Expand providertest.Expander
	// Schemes that a 401 offers; nil: NTLM and Basic.
	Schemes []string
	// Loop answers each answer to a challenge with another challenge.
	Loop bool
	// Binding, if not nil, is what Extended Protection demands an answer to hold.
	Binding []byte
	// Token is what a bearer must show.
	Token string
	// Version is the newest one that the server speaks; empty: Exchange2016.
	Version string
	// MaxItems bounds a view; zero: 1000. Beyond it the view is cut, or with
	// Refuse an error.
	MaxItems int
	Refuse   bool
	// MaxChanges bounds one answer of SyncFolderItems, below what was asked for.
	MaxChanges int
	// Hidden are properties that FindItem does not show; see also Hide.
	Hidden []string
	// Shared is another mailbox, whose calendar is shared with the user;
	// Impersonated is one whose owner the user may impersonate.
	Shared, Impersonated string
	// Discover is what Autodiscover says, by host; nil: the URL at both hosts.
	Discover map[string]Discovery
}

// Zone is a time zone as an item tells it.
type Zone struct {
	IANA, ID, Name string
	Periods        []string // the biases of a custom zone
}

// Berlin is the zone of items that have no other.
var Berlin = Zone{IANA: "Europe/Berlin", ID: "W. Europe Standard Time"}

// Server is the server with the user's mailbox.
type Server struct {
	Options

	mu       sync.Mutex
	folders  []*folder
	serial   int
	epoch    int
	faults   []*Fault
	requests []Request
	waiting  []chan struct{}
	hidden   []string

	listening chan struct{}
}

type folder struct {
	key, id, name, class, parent string

	items map[string]*item
	log   []change
}

type item struct {
	id         string
	version    int
	entry      providertest.Entry
	zone       Zone
	location   *time.Location // the zone's
	unreadable bool
	broken     bool // a series without an occurrence
}

type change struct{ kind, id string }

// New returns a server whose mailbox has an empty main calendar.
func New(o Options) *Server {
	if o.Schemes == nil {
		o.Schemes = []string{"NTLM", "Basic"}
	}
	if o.Version == "" {
		o.Version = "Exchange2016"
	}
	if o.MaxItems == 0 {
		o.MaxItems = 1000
	}
	s := &Server{Options: o, hidden: o.Hidden, listening: make(chan struct{}, 100)}
	s.folders = []*folder{
		{key: "msgfolderroot", id: s.name("root"), name: "Top of Information Store"},
		{key: "deleteditems", id: s.name("bin"), name: "Deleted Items", class: "IPF.Note", parent: "msgfolderroot"},
	}
	s.AddCalendar(Calendar, "Calendar")
	return s
}

// name makes an opaque id.
func (s *Server) name(of string) string {
	s.serial++
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AAMk\x00%04d\x00%s", s.serial, of))
}

// AddCalendar adds a calendar and returns its id.
func (s *Server) AddCalendar(key, name string) string {
	return s.AddFolder(key, name, "IPF.Appointment", "msgfolderroot")
}

// AddFolder adds a folder of any class below another one.
func (s *Server) AddFolder(key, name, class, parent string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &folder{key: key, id: s.name("folder"), name: name, class: class, parent: parent, items: map[string]*item{}}
	s.folders = append(s.folders, f)
	return f.id
}

// RemoveFolder removes a folder with what is in it.
func (s *Server) RemoveFolder(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folders = slices.DeleteFunc(s.folders, func(f *folder) bool { return f.key == key })
}

// Put writes an entry, in the zone of Berlin.
func (s *Server) Put(folder, name string, e providertest.Entry) { s.PutIn(folder, name, e, Berlin) }

// PutIn writes an entry in a zone, which is where its all-day dates begin.
func (s *Server) PutIn(folder, name string, e providertest.Entry, z Zone) {
	s.write(folder, name, func(i *item) { i.entry, i.zone, i.unreadable, i.broken = e, z, false, false })
}

// PutUnreadable writes an item whose times are nonsense.
func (s *Server) PutUnreadable(folder, name string) {
	s.write(folder, name, func(i *item) { i.unreadable = true })
}

// PutBroken writes a series all of whose occurrences are deleted, at a time: a
// view of that time fails.
func (s *Server) PutBroken(folder, name string, e providertest.Entry) {
	s.write(folder, name, func(i *item) { i.entry, i.zone, i.broken = e, Berlin, true })
}

func (s *Server) write(folder, name string, set func(*item)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folder(folder)
	i, kind := f.items[name], "Update"
	if i == nil {
		i, kind = &item{id: s.name("item"), zone: Berlin}, "Create"
		f.items[name] = i
	}
	set(i)
	var err error
	if i.location, err = time.LoadLocation(i.zone.IANA); err != nil {
		panic(err)
	}
	i.version++
	s.tell(f, change{kind, i.id})
}

// Remove removes an entry.
func (s *Server) Remove(folder, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folder(folder)
	i := f.items[name]
	if i == nil {
		return
	}
	delete(f.items, name)
	s.tell(f, change{"Delete", i.id})
}

// MarkRead marks an item as read, which changes nothing of it.
func (s *Server) MarkRead(folder, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folder(folder)
	s.tell(f, change{"ReadFlagChange", f.items[name].id})
}

func (s *Server) tell(f *folder, c change) {
	f.log = append(f.log, c)
	for _, w := range s.waiting {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// folder finds a folder by its key or its id.
func (s *Server) folder(name string) *folder {
	for _, f := range s.folders {
		if f.key == name || f.id == name {
			return f
		}
	}
	return nil
}

// ForgetStates makes the sync states that were handed out invalid.
func (s *Server) ForgetStates() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
}

// Hide keeps more properties out of views, until Show.
func (s *Server) Hide(properties ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = append(slices.Clone(s.Hidden), properties...)
}

// Show ends what Hide began.
func (s *Server) Show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = s.Hidden
}

// Request is one that the server was sent.
type Request struct {
	Host, Path string
	Operation  string // or "SOAP", "POX" of Autodiscover; empty where there is none
	Scheme     string // of the credential that came with it; empty: none
	Anchor     string // X-AnchorMailbox
	Body       string
	Refused    string // why, where the server is to blame the client
}

// Requests are those sent so far, handshakes among them.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}
