package api

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/busyd/busyd/busy"
)

// violations holds a value against a JSON schema of the document. It knows the
// keywords that the document uses and refuses others, so that none goes
// unchecked.
func (d openapi) violations(at string, schema map[string]any, value any) []string {
	if ref, ok := schema["$ref"].(string); ok {
		target := any(d.raw)
		for _, step := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
			target = target.(map[string]any)[step]
		}
		return d.violations(at, target.(map[string]any), value)
	}
	var wrong []string
	for keyword, arg := range schema {
		switch keyword {
		case "type":
			whole := arg == "integer" && value == math.Trunc(number(value))
			if !whole && !slices.Contains(list(arg), any(typeOf(value))) {
				wrong = append(wrong, fmt.Sprintf("%s is a %s, not %v", at, typeOf(value), arg))
			}
		case "enum":
			if !slices.Contains(list(arg), value) {
				wrong = append(wrong, fmt.Sprintf("%s is %v, not one of %v", at, value, arg))
			}
		case "format":
			if text, ok := value.(string); ok && !formatted(arg.(string), text) {
				wrong = append(wrong, fmt.Sprintf("%s is no %v", at, arg))
			}
		case "required":
			object, _ := value.(map[string]any)
			for _, name := range list(arg) {
				if _, ok := object[name.(string)]; !ok {
					wrong = append(wrong, fmt.Sprintf("%s lacks %v", at, name))
				}
			}
		case "items":
			items, _ := value.([]any)
			for i, item := range items {
				wrong = append(wrong, d.violations(fmt.Sprintf("%s[%d]", at, i), arg.(map[string]any), item)...)
			}
		case "properties":
			wrong = append(wrong, d.properties(at, schema, value)...)
		case "additionalProperties", "description", "examples", "title":
		default:
			wrong = append(wrong, fmt.Sprintf("%s has the keyword %s, which nobody checks", at, keyword))
		}
	}
	return wrong
}

func (d openapi) properties(at string, schema map[string]any, value any) []string {
	var wrong []string
	known := schema["properties"].(map[string]any)
	object, _ := value.(map[string]any)
	for name, field := range object {
		property, ok := known[name].(map[string]any)
		if !ok {
			if schema["additionalProperties"] == false {
				wrong = append(wrong, fmt.Sprintf("%s.%s is not in the schema", at, name))
			}
			continue
		}
		wrong = append(wrong, d.violations(at+"."+name, property, field)...)
	}
	return wrong
}

func number(value any) float64 {
	if n, ok := value.(float64); ok {
		return n
	}
	return math.NaN()
}

func list(arg any) []any {
	if many, ok := arg.([]any); ok {
		return many
	}
	return []any{arg}
}

func typeOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	default:
		return "object"
	}
}

func formatted(format, text string) bool {
	switch format {
	case "date-time":
		t, err := time.Parse(time.RFC3339, text)
		return err == nil && t.Location() == time.UTC && strings.HasSuffix(text, "Z")
	case "date":
		_, err := time.Parse(time.DateOnly, text)
		return err == nil
	case "uuid":
		_, err := busy.ParseID[struct{}](text)
		return err == nil
	case "uri":
		address, err := url.Parse(text)
		return err == nil && address.IsAbs()
	default:
		return false
	}
}
