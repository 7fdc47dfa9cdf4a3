// Says how opm v1.48.0 reads YAML: by the same libraries in the same versions. Each line of stdin is a word and a text in
// base64, each line of stdout the answer: {"json": …}, or {"error": "…"} when the text is refused.
//
//	document TEXT   one document
//	manifest TEXT   the object opm takes from a file of a bundle's manifests; null when it takes none
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigs "sigs.k8s.io/yaml"
)

type answer struct {
	JSON  json.RawMessage `json:"json,omitempty"`
	Error string          `json:"error,omitempty"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		word, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			fmt.Fprintln(os.Stderr, "no base64:", err)
			os.Exit(1)
		}
		encoded, err := json.Marshal(read(word, data))
		if err != nil {
			encoded, _ = json.Marshal(answer{Error: err.Error()})
		}
		out.Write(append(encoded, '\n'))
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}

func read(word string, data []byte) (result answer) {
	defer func() {
		if thrown := recover(); thrown != nil {
			result = answer{Error: fmt.Sprint("panic: ", thrown)}
		}
	}()
	var encoded []byte
	var err error
	if word == "manifest" {
		object := &unstructured.Unstructured{}
		if err = yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 30).Decode(object); err == nil {
			encoded, err = json.Marshal(object.Object)
		}
	} else {
		encoded, err = sigs.YAMLToJSON(data)
	}
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{JSON: encoded}
}
