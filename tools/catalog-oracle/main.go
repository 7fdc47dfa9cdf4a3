// Reads file-based catalogs with opm's own library, many in one process: the tests compare the service's reading with it.
//
// Each line of standard input is the path of a catalog folder. For each there is one line of standard output, a JSON
// object: {"documents": [...]}, every document whole, in the order of the files' names; or {"error": "..."} when opm
// refuses the folder.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"sort"

	"github.com/operator-framework/operator-registry/alpha/declcfg"
)

type answer struct {
	Documents []json.RawMessage `json:"documents,omitempty"`
	Error     string            `json:"error,omitempty"`
}

func read(dir string) answer {
	byPath := map[string][]json.RawMessage{}
	root := os.DirFS(dir)
	err := declcfg.WalkMetasFS(context.Background(), root, func(path string, meta *declcfg.Meta, err error) error {
		if err != nil {
			return err
		}
		byPath[path] = append(byPath[path], json.RawMessage(meta.Blob))
		return nil
	}, declcfg.WithConcurrency(1))
	if err == nil {
		// What WalkMetasFS lets through may still have fields of the wrong type.
		_, err = declcfg.LoadFS(context.Background(), root, declcfg.WithConcurrency(1))
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	paths := make([]string, 0, len(byPath))
	for path := range byPath {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	documents := []json.RawMessage{}
	for _, path := range paths {
		documents = append(documents, byPath[path]...)
	}
	return answer{Documents: documents}
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		if err := out.Encode(read(lines.Text())); err != nil {
			log.Fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
}
