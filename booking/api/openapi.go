package api

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const openapiPath = "/v1/openapi.json"

func (a *api) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	_, _ = w.Write(a.openapi)
}

// document makes the OpenAPI 3.1 document of the routes. Types become schemas,
// so that an answer cannot have a field that the document lacks.
func document(routes []route, version string) ([]byte, error) {
	schemas := huma.NewMapRegistry("#/components/schemas/", schemaName)
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "busyd", Version: version,
			Description: "When people and rooms are busy and free, from the calendars they already keep. Times are RFC 3339 " +
				"and answered in UTC, spans are half-open, zones are IANA names. Every error is a problem (RFC 9457) " +
				"with a stable code, every answer has the request's id in X-Request-Id. A parameter or a field that is not listed is refused.",
		},
		Servers: []*huma.Server{{URL: "/"}},
		Components: &huma.Components{
			Schemas: schemas,
			Headers: map[string]*huma.Header{"Retry-After": header("After how many seconds to send the request again.")},
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"key": {Type: "http", Scheme: "bearer", Description: "An API key, as `busyd key create` prints it."},
			},
		},
	}
	for _, r := range routes {
		doc.AddOperation(operation(r, schemas))
	}
	doc.AddOperation(&huma.Operation{
		Method: http.MethodGet, Path: openapiPath, OperationID: "getOpenAPI", Summary: "This document",
		Security: []map[string][]string{{}},
		Responses: map[string]*huma.Response{"200": {
			Description: "OK", Content: content("application/json", &huma.Schema{Type: "object"}),
		}},
	})
	compact, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return compact, nil
}

func operation(r route, schemas huma.Registry) *huma.Operation {
	op := &huma.Operation{
		Method: r.method, Path: r.path, OperationID: r.id, Summary: r.summary,
		Description: strings.TrimSpace(r.about + " Needs the scope " + string(r.scope) + "."),
		Security:    []map[string][]string{{"key": {}}},
		Responses:   map[string]*huma.Response{},
	}
	problems := append(anyRoute(), r.problems...)
	if r.once {
		r.params = append(slices.Clone(r.params), keyParam)
		problems = append(problems, onceRoute()...)
	}
	for _, p := range r.params {
		op.Parameters = append(op.Parameters, parameter(p))
	}
	ok := &huma.Response{Description: http.StatusText(r.status)}
	if r.answer != nil {
		ok.Content = content(cmp.Or(r.media, "application/json"), schemaOf(schemas, r.answer))
	}
	ok.Headers = headers(r)
	op.Responses[strconv.Itoa(r.status)] = ok

	if r.body != nil {
		problems = append(problems, bodyRoute()...)
		op.RequestBody = &huma.RequestBody{
			Description: fmt.Sprintf("At most %d bytes.", MaxBody),
			Content:     content("application/json", schemaOf(schemas, r.body)),
		}
	}
	slices.SortFunc(problems, func(a, b problem) int { return strings.Compare(a.code, b.code) })
	for _, p := range problems {
		status := strconv.Itoa(p.status)
		if op.Responses[status] == nil {
			op.Responses[status] = &huma.Response{Content: content("application/problem+json", schemaOf(schemas, Problem{}))}
		} else {
			op.Responses[status].Description += " "
		}
		op.Responses[status].Description += p.title + " (`" + p.code + "`)."
		if p.retry() {
			op.Responses[status].Headers = map[string]*huma.Header{"Retry-After": {Ref: "#/components/headers/Retry-After"}}
		}
	}
	return op
}

// headers are those of a success.
func headers(r route) map[string]*huma.Header {
	out := map[string]*huma.Header{}
	if r.etag {
		out["ETag"] = header("The booking's version, for If-Match.")
	}
	if r.once {
		out[replayed] = header("true: the request was carried out before, and this is what it was answered.")
	}
	if r.once && r.etag {
		out["Location"] = header("Where the booking is.")
	}
	return out
}

func header(about string) *huma.Header {
	return &huma.Header{Description: about, Schema: &huma.Schema{Type: "string"}}
}

func parameter(p param) *huma.Param {
	out := &huma.Param{Name: p.name, In: p.in, Required: p.required, Description: p.about, Schema: &p.schema}
	if p.many {
		out.Schema = &huma.Schema{Type: "array", Items: &p.schema, MinItems: ptr(1), MaxItems: ptr(MaxResources), UniqueItems: true}
		out.Explode = ptr(true)
	}
	return out
}

func content(media string, schema *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{media: {Schema: schema}}
}

func schemaOf(schemas huma.Registry, v any) *huma.Schema {
	return schemas.Schema(reflect.TypeOf(v), true, "")
}

// schemaName names a schema after its Go type, as BusyAnswer.
func schemaName(t reflect.Type, hint string) string { return huma.DefaultSchemaNamer(t, hint) }
