// Package recur turns one series of events, a master and its exceptions, into
// the occurrences that touch a window of time. It is pure: it reads no clock, no
// network and no file but the zone database.
//
// Recurrence rules are computed as RFC 5545 §3.3.10 has it: on the wall clock of
// the zone of the series' start, at every frequency. What the RFC leaves open or
// says twice is decided so that busy time is never lost:
//
//   - A reading that the clock skips (the start of summer time) keeps the offset
//     in force before the gap, whether it was written down or came from a rule:
//     02:30 in the gap is 03:30 after it. Two readings that become one instant
//     are one occurrence.
//   - A reading that the clock shows twice is its first occurrence. That holds
//     for HOURLY, MINUTELY and SECONDLY too: their steps are of the wall clock,
//     so that "every six hours from midnight" is at midnight all year round.
//   - A date that does not exist, such as February 30, is left out and does not
//     count towards COUNT.
//   - A date's block runs from the first instant of that date to the first
//     instant of the date after the last. A date that a zone skipped altogether
//     has no block.
//   - DTSTART is the first occurrence even where the rule would not produce it,
//     and counts towards COUNT.
//   - BYWEEKNO without BYDAY falls on the weekday of DTSTART. A BY part that RFC
//     5545 does not define for a frequency limits it. A number before a weekday
//     counts only where the RFC lets it.
//   - A line or part that cannot be understood is reported with [busy.ErrRule]
//     and left out; the rest is expanded all the same.
package recur
