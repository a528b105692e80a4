package ews

import (
	"context"
	"strings"

	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers"
)

// folderClass is that of calendars, and the beginning of that of special ones.
const folderClass = "IPF.Appointment"

type identifier struct {
	ID        string `xml:"Id,attr"`
	ChangeKey string `xml:"ChangeKey,attr"`
}

type folder struct {
	Self   identifier `xml:"FolderId"`
	Parent identifier `xml:"ParentFolderId"`
	Class  string     `xml:"FolderClass"`
	Name   string     `xml:"DisplayName"`
}

type foldersMessage struct {
	message
	Folders struct {
		List []folder `xml:",any"`
	} `xml:"Folders"`
}

type findFoldersMessage struct {
	message
	Root *struct {
		Last    string `xml:"IncludesLastItemInRange,attr"`
		Next    int    `xml:"IndexedPagingOffset,attr"`
		Folders struct {
			List []folder `xml:",any"`
		} `xml:"Folders"`
	} `xml:"RootFolder"`
}

// calendars lists the mailbox's calendars, the main one first.
func (c *client) calendars(ctx context.Context) ([]providers.Calendar, error) {
	main, bin, err := c.knownFolders(ctx)
	if err != nil {
		return nil, err
	}
	found := []providers.Calendar{{Remote: busy.Secret(main.Self.ID), Name: main.Name, Blocking: true}}
	others, err := c.findFolders(ctx)
	switch code := providers.CodeOf(err); {
	case err == nil:
	case c.mailbox != "" && !c.impersonate && (code == codeDenied || code == codeMissing):
		// Somebody who was let into a calendar need not see the mailbox around it.
	default:
		return nil, err
	}
	for _, f := range others {
		if f.Self.ID == main.Self.ID || bin != "" && f.Parent.ID == bin || !isCalendar(f) {
			continue
		}
		found = append(found, providers.Calendar{Remote: busy.Secret(f.Self.ID), Name: f.Name})
	}
	return found, nil
}

func isCalendar(f folder) bool {
	class := strings.ToLower(f.Class)
	return f.Self.ID != "" && (class == strings.ToLower(folderClass) || strings.HasPrefix(class, strings.ToLower(folderClass)+"."))
}

// knownFolders returns the main calendar and the id of the folder of deleted
// things, which not everybody can see.
func (c *client) knownFolders(ctx context.Context) (main folder, bin string, err error) {
	var got answers[foldersMessage]
	if err := c.call(ctx, getFolders(c.distinguished("calendar"), c.distinguished("deleteditems")), &got); err != nil {
		return folder{}, "", err
	}
	if len(got.List) != 2 {
		return folder{}, "", errIncomplete
	}
	if err := got.List[0].err(); err != nil {
		return folder{}, "", err
	}
	main, ok := got.List[0].folder()
	if !ok {
		return folder{}, "", errIncomplete
	}
	if f, ok := got.List[1].folder(); ok && got.List[1].err() == nil {
		bin = f.Self.ID
	}
	return main, bin, nil
}

func (m foldersMessage) folder() (folder, bool) {
	if len(m.Folders.List) != 1 || m.Folders.List[0].Self.ID == "" {
		return folder{}, false
	}
	return m.Folders.List[0], true
}

// maxFolders bounds the calendars of a mailbox.
const maxFolders = 10_000

func (c *client) findFolders(ctx context.Context) ([]folder, error) {
	var found []folder
	for offset := 0; ; {
		var got answers[findFoldersMessage]
		if err := c.call(ctx, findCalendars(c.distinguished("msgfolderroot"), offset), &got); err != nil {
			return nil, err
		}
		page, err := got.only()
		if err != nil {
			return nil, err
		}
		if page.Root == nil || page.Root.Last == "" {
			return nil, errIncomplete
		}
		found = append(found, page.Root.Folders.List...)
		if isTrue(page.Root.Last) {
			return found, nil
		}
		if page.Root.Next <= offset || len(found) > maxFolders {
			return nil, errIncomplete
		}
		offset = page.Root.Next
	}
}

// isTrue reads an xs:boolean.
func isTrue(s string) bool {
	s = strings.TrimSpace(s)
	return s == "true" || s == "1"
}
