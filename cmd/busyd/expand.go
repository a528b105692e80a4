package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/busyd/busyd/booking"
	"github.com/busyd/busyd/busy"
	"github.com/busyd/busyd/providers/ical"
	"github.com/busyd/busyd/providers/zones"
	"github.com/busyd/busyd/sync/recur"
)

// newExpandCommand is `busyd expand`: what a calendar file blocks, and why. It
// needs no configuration. Its errors are busy.ErrInvalid for wrong arguments;
// any other is a file that cannot be read.
func newExpandCommand() *cobra.Command {
	var f expandFlags
	cmd := &cobra.Command{
		Use:   "expand FILE.ics --from T1 --to T2",
		Short: "Show the blocks that a calendar file yields",
		Long: `Show the time that the events of a calendar file block between two moments,
the first included and the second not, and why each event does or does not.

FILE may be - for the standard input. A block is shown whole where it reaches
beyond the span. With --json the blocks are a list of
{"start","end","all_day","subject"} with instants in UTC. What could not be
understood is reported on the standard error.`,
		Example: `  busyd expand holidays.ics --from 2026-01-01 --to 2027-01-01 --timezone Europe/Berlin
  busyd expand - --from 2026-03-01T00:00:00Z --to 2026-03-08T00:00:00Z --json < work.ics`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return busy.Invalid("FILE", "must be the path of one calendar file, or - for the standard input")
			}
			return nil
		},
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runExpand(cmd, args[0], f)
		},
	}
	cmd.Flags().StringVar(&f.from, "from", "", "start of the span: 2026-03-01, or 2026-03-01T09:00:00+01:00")
	cmd.Flags().StringVar(&f.to, "to", "", "end of the span, in the same forms")
	cmd.Flags().StringVar(&f.zone, "timezone", busy.UTC, "IANA zone that reads dates and floating times")
	cmd.Flags().StringSliceVar(&f.self, "address", nil, "an e-mail address of the calendar's owner, to know the invitations that the owner declined; may repeat")
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

type expandFlags struct {
	from, to, zone string
	self           []string
	json           bool
}

func runExpand(cmd *cobra.Command, file string, f expandFlags) error {
	zone, err := zoneFlag("--timezone", f.zone)
	if err != nil {
		return err
	}
	span, err := spanFlags(f.from, f.to, zone)
	if err != nil {
		return err
	}
	calendar, err := readCalendar(cmd.InOrStdin(), file, ical.Options{Zone: zone.String(), Self: f.self})
	if err != nil {
		return err
	}
	x := expandAll(cmd.Context(), calendar, span, zone)
	for _, w := range x.warnings {
		say(cmd.ErrOrStderr(), "warning: %s", w)
	}
	if f.json {
		return x.printJSON(cmd.OutOrStdout())
	}
	x.printTables(cmd.OutOrStdout())
	return nil
}

func zoneFlag(flag, name string) (*time.Location, error) {
	if name, ok := zones.Resolve(name); ok {
		return time.LoadLocation(name)
	}
	return nil, busy.Invalid(flag, "must be the name of a time zone, such as Europe/Berlin")
}

func spanFlags(from, to string, zone *time.Location) (busy.Span, error) {
	start, err := instantFlag("--from", from, zone)
	if err != nil {
		return busy.Span{}, err
	}
	end, err := instantFlag("--to", to, zone)
	if err != nil {
		return busy.Span{}, err
	}
	if !start.Before(end) {
		return busy.Span{}, busy.Invalid("--to", "must be later than --from")
	}
	return busy.Span{Start: start, End: end}, nil
}

// instantFlag reads an instant, or a date as its first moment in the zone.
func instantFlag(flag, value string, zone *time.Location) (time.Time, error) {
	if date, err := time.Parse(time.DateOnly, value); err == nil {
		return booking.Day(date, zone).Start.UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339, value); err == nil {
		return t.UTC(), nil
	}
	form := "must be a date such as 2026-03-01, or a time with its offset such as 2026-03-01T09:00:00Z"
	if value == "" {
		form = "is needed: a date such as 2026-03-01, or a time with its offset such as 2026-03-01T09:00:00Z"
	}
	return time.Time{}, busy.Invalid(flag, form)
}

func readCalendar(stdin io.Reader, file string, o ical.Options) (ical.Calendar, error) {
	in := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return ical.Calendar{}, usage(err)
		}
		defer func() { _ = opened.Close() }()
		in = opened
	}
	calendar, err := ical.ParseFeed(in, o)
	if err != nil {
		return ical.Calendar{}, fmt.Errorf("%s: %w", file, err)
	}
	return calendar, nil
}

// expansion is what a calendar file yields in a span.
type expansion struct {
	span     busy.Span
	zone     *time.Location
	named    string // the zone that the file names
	events   []busy.Event
	blocks   []expandedBlock
	warnings []string
}

// expandedBlock is an occurrence with the event that it is of.
type expandedBlock struct {
	busy.Occurrence // Event is the index in expansion.events
	subject         string
}

func expandAll(ctx context.Context, c ical.Calendar, span busy.Span, zone *time.Location) *expansion {
	if ctx == nil {
		ctx = context.Background()
	}
	x := &expansion{span: span, zone: zone, named: c.Zone, events: c.Events}
	for _, p := range c.Problems {
		x.warnings = append(x.warnings, fmt.Sprintf("line %d: %s", p.Line, p.Detail))
	}
	expander := recur.New()
	for _, members := range bySeries(c.Events) {
		series := make([]busy.Event, len(members))
		for i, m := range members {
			series[i] = c.Events[m]
		}
		occurrences, err := expander.Expand(ctx, series, span, zone)
		if err != nil {
			x.warnings = append(x.warnings, fmt.Sprintf("event %d: %v", members[0]+1, err))
		}
		for _, o := range occurrences {
			o.Event = members[o.Event]
			x.blocks = append(x.blocks, expandedBlock{o, c.Events[o.Event].Subject})
		}
	}
	slices.SortStableFunc(x.blocks, func(a, b expandedBlock) int {
		return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End), cmp.Compare(a.subject, b.subject))
	})
	return x
}

// bySeries returns the indexes of the events of each series, in the order of the
// file.
func bySeries(events []busy.Event) [][]int {
	var groups [][]int
	at := make(map[string]int, len(events))
	for i, e := range events {
		g, known := at[e.Series]
		if !known {
			g = len(groups)
			at[e.Series], groups = g, append(groups, nil)
		}
		groups[g] = append(groups[g], i)
	}
	return groups
}

func (x *expansion) printJSON(w io.Writer) error {
	type block struct {
		Start   string `json:"start"`
		End     string `json:"end"`
		AllDay  bool   `json:"all_day"`
		Subject string `json:"subject"`
	}
	blocks := make([]block, 0, len(x.blocks))
	for _, b := range x.blocks {
		blocks = append(blocks, block{
			Start:   b.Start.UTC().Format(time.RFC3339),
			End:     b.End.UTC().Format(time.RFC3339),
			AllDay:  b.AllDay,
			Subject: b.subject,
		})
	}
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	return out.Encode(blocks)
}

func (x *expansion) printTables(w io.Writer) {
	blocks := make([][]string, len(x.blocks))
	count := make([]int, len(x.events))
	for i, b := range x.blocks {
		start, end := x.clock(b)
		blocks[i] = []string{start, end, b.State.String(), strconv.Itoa(b.Event + 1), b.subject}
		count[b.Event]++
	}
	if len(blocks) == 0 {
		say(w, "Nothing in this file blocks time in this span%s.\n", x.hint())
	} else {
		table(w, "start,end,state,event,subject", blocks)
		say(w, "%s, times in %s%s\n", plural(len(blocks), "block"), x.zone, x.hint())
	}
	if len(x.events) == 0 {
		return
	}
	events := make([][]string, len(x.events))
	for i, e := range x.events {
		events[i] = []string{strconv.Itoa(i + 1), firstMoment(e), strconv.Itoa(count[i]), whyBlocks(e, count[i]), e.Subject}
	}
	table(w, "event,first,blocks,why,subject", events)
}

// hint tells of a zone that the file asks for and that was not.
func (x *expansion) hint() string {
	if x.named == "" || x.named == x.zone.String() {
		return ""
	}
	return fmt.Sprintf("; the file names %s, which --timezone would use", x.named)
}

// clock returns the ends of a block as people read them: in the zone, and for a
// whole day its date, with the last date in place of the one after.
func (x *expansion) clock(b expandedBlock) (start, end string) {
	if b.AllDay {
		return b.Start.In(x.zone).Format("Mon 2006-01-02"), b.End.Add(-time.Second).In(x.zone).Format("Mon 2006-01-02")
	}
	const form = "Mon 2006-01-02 15:04"
	return b.Start.In(x.zone).Format(form), b.End.In(x.zone).Format(form)
}

func firstMoment(e busy.Event) string {
	m := e.Start
	if m.IsZero() {
		m = e.Original
	}
	if zone, _, custom := strings.Cut(m.Zone, "\n"); custom && zone != "" {
		m.Zone = "a zone of the file's own"
	}
	return m.String()
}

// whyBlocks tells what an event does to the time, or why it does nothing.
func whyBlocks(e busy.Event, blocks int) string {
	reason := string(e.Why)
	switch {
	case e.State == busy.Free:
	case blocks == 0 && !hasLength(e):
		reason += ", but has no length"
	case blocks == 0:
		reason += ", but not in this span"
	}
	if !e.Original.IsZero() {
		reason += "; replaces the occurrence of " + e.Original.Wall.Format("2006-01-02 15:04")
	}
	if len(e.Recurrence) > 0 {
		reason += "; " + strings.Join(ruleLines(e.Recurrence), ", ")
	}
	return reason
}

func hasLength(e busy.Event) bool {
	if e.End.IsZero() {
		return e.Length.Days > 0 || e.Length.Exact > 0
	}
	return e.Start.Zone != e.End.Zone || e.Start.Wall.Before(e.End.Wall)
}

// ruleLines returns the rules of a series, without its lists of dates.
func ruleLines(lines []string) []string {
	var rules []string
	for _, l := range lines {
		if name, rule, _ := strings.Cut(l, ":"); name == "RRULE" {
			rules = append(rules, rule)
		}
	}
	return rules
}
