package configs

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// set parses the words that a setting was given. Only lists take more than one.
// The error states the form that the value must have and never repeats it.
func set(value any, words []string) error {
	if list, ok := value.(*[]string); ok {
		*list = words
		return nil
	}
	if list, ok := value.(*[]netip.Prefix); ok {
		return setPrefixes(list, words)
	}
	if len(words) != 1 {
		return errors.New("must be one value, not a list")
	}
	return setWord(value, words[0])
}

func setWord(value any, word string) (err error) {
	switch v := value.(type) {
	case *string:
		*v = word
	case *busy.Secret:
		*v = busy.Secret(word)
	case *int:
		*v, err = strconv.Atoi(word)
		if err != nil {
			return errors.New("must be a whole number such as 16")
		}
	case *time.Duration:
		*v, err = ParseDuration(word)
	case *slog.Level:
		if v.UnmarshalText([]byte(word)) != nil {
			return errors.New("must be debug, info, warn or error")
		}
	default:
		return fmt.Errorf("has a type without a parser: %T", value)
	}
	return err
}

func setPrefixes(list *[]netip.Prefix, words []string) error {
	*list = nil
	for _, word := range words {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return errors.New("must list address ranges such as 10.0.0.0/8 or fd00::/8")
		}
		*list = append(*list, p)
	}
	return nil
}

// ParseDuration reads Go's form and, as its only unit, days: 400d.
func ParseDuration(s string) (time.Duration, error) {
	form := errors.New("must be a positive duration with a unit (ms, s, m, h or d), such as 30s, 15m, 1h30m or 400d")
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n <= 0 || n > 36500 {
			return 0, form
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, form
	}
	return d, nil
}
