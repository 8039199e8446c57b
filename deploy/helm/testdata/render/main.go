// Command render makes of kustomizations and charts what kubectl and helm would,
// for tests: a JSON list of requests on standard input, one of answers on
// standard output. It is a module of its own, so that the product has neither.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// request is a Kustomization, or a Chart with Values for a Namespace; both are
// folders.
type request struct {
	Kustomization    string
	Chart, Namespace string
	Values           map[string]any
}

// answer is the YAML, and NOTES.txt of a chart, or what is wrong.
type answer struct{ YAML, Notes, Error string }

func main() {
	var requests []request
	if err := json.NewDecoder(os.Stdin).Decode(&requests); err != nil {
		log.Fatal(err)
	}
	answers := make([]answer, 0, len(requests))
	for _, r := range requests {
		render := chart
		if r.Kustomization != "" {
			render = kustomize
		}
		a, err := render(r)
		if err != nil {
			a.Error = err.Error()
		}
		answers = append(answers, a)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

func kustomize(r request) (answer, error) {
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), r.Kustomization)
	if err != nil {
		return answer{}, err
	}
	text, err := made.AsYaml()
	return answer{YAML: string(text)}, err
}

func chart(r request) (answer, error) {
	c, err := loader.Load(r.Chart)
	if err != nil {
		return answer{}, err
	}
	release := common.ReleaseOptions{Name: "cloudretro", Namespace: r.Namespace, Revision: 1, IsInstall: true}
	values, err := util.ToRenderValues(c, r.Values, release, common.DefaultCapabilities)
	if err != nil {
		return answer{}, err
	}
	files, err := engine.Render(c, values)
	if err != nil {
		return answer{}, err
	}
	var a answer
	for name, text := range files {
		switch {
		case strings.HasSuffix(name, ".yaml"):
			a.YAML += text
		case strings.HasSuffix(name, "NOTES.txt"):
			a.Notes = text
		case strings.TrimSpace(text) != "":
			return a, fmt.Errorf("%s makes what is no YAML", name)
		}
	}
	return a, nil
}
