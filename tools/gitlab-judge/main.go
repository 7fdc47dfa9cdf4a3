// Decodes what a GitLab answers with the types of client-go, and says what did not arrive.
//
// Each line of standard input is {"as": TYPE, "body": JSON}; TYPE is a type of client-go, or `hook NAME` with the value of
// a hook's X-Gitlab-Event. For each, one line of standard output: {"error", "lost", "unknown", "absent"}.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	gitlab "gitlab.com/gitlab-org/api/client-go"
)

// A hook has at most some hundred kilobytes; a line above this is a mistake of the caller's.
const longestLine = 64 << 20

var types = map[string]func() any{
	"BasicMergeRequest":   func() any { return new(gitlab.BasicMergeRequest) },
	"BasicUser":           func() any { return new(gitlab.BasicUser) },
	"Branch":              func() any { return new(gitlab.Branch) },
	"Commit":              func() any { return new(gitlab.Commit) },
	"CommitComment":       func() any { return new(gitlab.CommitComment) },
	"CommitRef":           func() any { return new(gitlab.CommitRef) },
	"CommitStatus":        func() any { return new(gitlab.CommitStatus) },
	"Compare":             func() any { return new(gitlab.Compare) },
	"Diff":                func() any { return new(gitlab.Diff) },
	"Discussion":          func() any { return new(gitlab.Discussion) },
	"File":                func() any { return new(gitlab.File) },
	"FileInfo":            func() any { return new(gitlab.FileInfo) },
	"Group":               func() any { return new(gitlab.Group) },
	"GroupMember":         func() any { return new(gitlab.GroupMember) },
	"MergeRequest":        func() any { return new(gitlab.MergeRequest) },
	"MergeRequestDiff":    func() any { return new(gitlab.MergeRequestDiff) },
	"Metadata":            func() any { return new(gitlab.Metadata) },
	"Namespace":           func() any { return new(gitlab.Namespace) },
	"Note":                func() any { return new(gitlab.Note) },
	"PersonalAccessToken": func() any { return new(gitlab.PersonalAccessToken) },
	"Pipeline":            func() any { return new(gitlab.Pipeline) },
	"PipelineInfo":        func() any { return new(gitlab.PipelineInfo) },
	"Project":             func() any { return new(gitlab.Project) },
	"ProjectAccessToken":  func() any { return new(gitlab.ProjectAccessToken) },
	"ProjectHook":         func() any { return new(gitlab.ProjectHook) },
	"ProjectMember":       func() any { return new(gitlab.ProjectMember) },
	"ProtectedBranch":     func() any { return new(gitlab.ProtectedBranch) },
	"Tag":                 func() any { return new(gitlab.Tag) },
	"TreeNode":            func() any { return new(gitlab.TreeNode) },
	"User":                func() any { return new(gitlab.User) },
	"Version":             func() any { return new(gitlab.Version) },
}

type sample struct {
	As   string          `json:"as"`
	Body json.RawMessage `json:"body"`
}

type verdict struct {
	// Error is why the body cannot be decoded; null when it can.
	Error *string `json:"error"`
	// Lost are fields whose value was sent and did not arrive.
	Lost []string `json:"lost"`
	// Unknown are fields that were sent and that client-go does not have.
	Unknown []string `json:"unknown"`
	// Absent are fields that client-go has and that were not sent.
	Absent []string `json:"absent"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			fail(err)
		}
		if err := out.Encode(judge(s)); err != nil {
			fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gitlab-judge:", err)
	os.Exit(1)
}

func judge(s sample) verdict {
	decoded, err := decode(s)
	if err != nil {
		text := err.Error()
		return verdict{Error: &text, Lost: []string{}, Unknown: []string{}, Absent: []string{}}
	}
	var sent any
	number := json.NewDecoder(bytes.NewReader(s.Body))
	number.UseNumber()
	if err := number.Decode(&sent); err != nil {
		fail(err)
	}
	f := findings{lost: map[string]bool{}, unknown: map[string]bool{}, absent: map[string]bool{}}
	f.compare("", sent, reflect.ValueOf(decoded))
	return verdict{Lost: sorted(f.lost), Unknown: sorted(f.unknown), Absent: sorted(f.absent)}
}

func decode(s sample) (any, error) {
	if event, ok := strings.CutPrefix(s.As, "hook "); ok {
		return gitlab.ParseWebhook(gitlab.EventType(event), s.Body)
	}
	create, ok := types[s.As]
	if !ok {
		return nil, fmt.Errorf("no type %s", s.As)
	}
	decoded := create()
	return decoded, json.Unmarshal(s.Body, decoded)
}

type findings struct{ lost, unknown, absent map[string]bool }

func (f findings) compare(path string, sent any, got reflect.Value) {
	if isEmpty(sent) {
		return
	}
	for got.Kind() == reflect.Pointer && !got.IsNil() {
		got = got.Elem()
	}
	object, isObject := sent.(map[string]any)
	list, isList := sent.([]any)
	// A struct without such fields decodes itself, as time.Time does.
	known := map[string]reflect.Value{}
	if got.Kind() == reflect.Struct {
		fieldsOf(got, known)
	}
	switch {
	case isObject && len(known) > 0:
		f.compareFields(path, object, known)
	case isList && got.Kind() == reflect.Slice && got.Len() == len(list):
		for at, each := range list {
			f.compare(path+"[]", each, got.Index(at))
		}
	case got.IsZero():
		f.lost[path] = true
	}
}

func (f findings) compareFields(path string, object map[string]any, known map[string]reflect.Value) {
	for name, value := range object {
		field, ok := known[name]
		if !ok {
			f.unknown[join(path, name)] = true
			continue
		}
		f.compare(join(path, name), value, field)
	}
	for name := range known {
		if _, ok := object[name]; !ok {
			f.absent[join(path, name)] = true
		}
	}
}

// fieldsOf adds the fields by their names in JSON, those of embedded structs included.
func fieldsOf(got reflect.Value, known map[string]reflect.Value) {
	for at := range got.NumField() {
		field := got.Type().Field(at)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" {
			if field.Type.Kind() == reflect.Struct {
				fieldsOf(got.Field(at), known)
			}
			continue
		}
		if field.IsExported() && name != "" && name != "-" {
			known[name] = got.Field(at)
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// isEmpty says whether a value decodes to Go's zero value, so that its arrival cannot be seen.
func isEmpty(sent any) bool {
	switch value := sent.(type) {
	case nil:
		return true
	case bool:
		return !value
	case string:
		return value == ""
	case json.Number:
		zero, err := value.Float64()
		return err == nil && zero == 0
	case []any:
		return len(value) == 0
	case map[string]any:
		return len(value) == 0
	}
	return false
}

func sorted(set map[string]bool) []string {
	names := slices.Sorted(maps.Keys(set))
	if names == nil {
		return []string{}
	}
	return names
}
