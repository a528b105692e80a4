package recur

import "time"

// Readings of a wall clock are counted in seconds as if the clock showed UTC,
// and dates in days since 1970-01-01: neither is an instant.

const (
	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// The readings that are computed with: the years 1 to 9999.
var (
	minWall = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	maxWall = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// date is a day with what the BY parts of a rule ask of it; all counts are from 1.
type date struct {
	number   int64 // days since 1970-01-01
	weekday  time.Weekday
	year     int
	month    int
	monthDay int
	monthLen int
	yearDay  int
	yearLen  int
}

func dateOf(number int64) date {
	t := time.Unix(number*day, 0).UTC()
	year, month, monthDay := t.Date()
	return date{
		number:   number,
		weekday:  weekdayOf(number),
		year:     year,
		month:    int(month),
		monthDay: monthDay,
		monthLen: monthLen(year, int(month)),
		yearDay:  t.YearDay(),
		yearLen:  yearLen(year),
	}
}

// next is the following day, if that is in the same month.
func (d date) next() date {
	d.number++
	d.weekday = (d.weekday + 1) % 7
	d.monthDay++
	d.yearDay++
	return d
}

// week is the number of the day's week, and how many weeks that week's year has.
// Weeks begin on start; the first of a year is the first with four days in it
// (RFC 5545 §3.3.10, BYWEEKNO).
func (d date) week(start time.Weekday) (number, of int) {
	fourth := int64(3) - int64((d.weekday-start+7)%7)
	yearDay, length := d.yearDay+int(fourth), d.yearLen
	switch {
	case yearDay < 1:
		length = yearLen(d.year - 1)
		yearDay += length
	case yearDay > length:
		yearDay -= length
		length = yearLen(d.year + 1)
	}
	number = (yearDay-1)/7 + 1
	return number, number + (length-yearDay)/7
}

func weekdayOf(number int64) time.Weekday { return time.Weekday(mod(number+4, 7)) }

func dayNumber(year, month, monthDay int) int64 {
	return time.Date(year, time.Month(month), monthDay, 0, 0, 0, 0, time.UTC).Unix() / day
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func yearLen(year int) int {
	if leap(year) {
		return 366
	}
	return 365
}

func monthLen(year, month int) int {
	switch {
	case month == 2 && leap(year):
		return 29
	case month == 2:
		return 28
	case month == 4, month == 6, month == 9, month == 11:
		return 30
	default:
		return 31
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }

func mod(a, b int64) int64 { return a - floorDiv(a, b)*b }

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
