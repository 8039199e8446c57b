{{- /*
The part of kustomize that deploy/kubernetes uses, so that what it says is said
once. Templates give text and no objects, so these change what they are given.

cloudretro.kustomize adds to .state.objects what the kustomization in the folder
.dir has, and changes what it patches.
*/ -}}
{{- define "cloudretro.kustomize" -}}
{{- $in := . -}}
{{- $file := .files.Get (printf "%s/kustomization.yaml" .dir) -}}
{{- if not $file }}{{ fail (printf "the chart lacks %s/kustomization.yaml" .dir) }}{{ end -}}
{{- $kustomization := fromYaml $file -}}
{{- range $kustomization.resources -}}
  {{- $path := clean (printf "%s/%s" $in.dir .) -}}
  {{- if hasSuffix ".yaml" . -}}
    {{- $found := dict "objects" list -}}
    {{- include "cloudretro.read" (dict "text" ($in.files.Get $path) "path" $path "state" $found) -}}
    {{- $_ := set $in.state "objects" (concat $in.state.objects $found.objects) -}}
  {{- else -}}
    {{- include "cloudretro.kustomize" (dict "files" $in.files "dir" $path "state" $in.state) -}}
  {{- end -}}
{{- end -}}
{{- range $kustomization.configMapGenerator -}}
  {{- $data := dict -}}
  {{- range .files }}{{ $_ := set $data (base .) ($in.files.Get (printf "%s/%s" $in.dir .)) }}{{ end -}}
  {{- $map := dict "apiVersion" "v1" "kind" "ConfigMap" "metadata" (dict "name" .name "labels" .options.labels) "data" $data -}}
  {{- $_ := set $in.state "objects" (append $in.state.objects $map) -}}
{{- end -}}
{{- range $kustomization.patches -}}
  {{- if .path -}}
    {{- $path := printf "%s/%s" $in.dir .path -}}
    {{- $patches := dict "objects" list -}}
    {{- include "cloudretro.read" (dict "text" ($in.files.Get $path) "path" $path "state" $patches) -}}
    {{- range $patches.objects -}}
      {{- include "cloudretro.patch" (dict "kind" .kind "name" .metadata.name "with" . "state" $in.state) -}}
    {{- end -}}
  {{- else -}}
    {{- /* The only other kind here: all with a label are deleted. */ -}}
    {{- $label := splitn "=" 2 .target.labelSelector -}}
    {{- $kept := list -}}
    {{- range $in.state.objects -}}
      {{- if ne (dig "metadata" "labels" $label._0 "" .) $label._1 }}{{ $kept = append $kept . }}{{ end -}}
    {{- end -}}
    {{- $_ := set $in.state "objects" $kept -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- /* cloudretro.read adds the documents of .text to .state.objects. */ -}}
{{- define "cloudretro.read" -}}
{{- $in := . -}}
{{- if not .text }}{{ fail (printf "the chart lacks %s" .path) }}{{ end -}}
{{- range regexSplit "(?m)^---$" .text -1 -}}
  {{- $object := fromYaml . -}}
  {{- if hasKey $object "Error" }}{{ fail (printf "%s: %s" $in.path $object.Error) }}{{ end -}}
  {{- if $object }}{{ $_ := set $in.state "objects" (append $in.state.objects $object) }}{{ end -}}
{{- end -}}
{{- end -}}

{{- /* cloudretro.patch lays .with over the object .kind .name of .state, if it is there. */ -}}
{{- define "cloudretro.patch" -}}
{{- $in := . -}}
{{- $kept := list -}}
{{- range .state.objects -}}
  {{- $same := and (eq .kind $in.kind) (eq .metadata.name $in.name) -}}
  {{- if $same }}{{ include "cloudretro.merge" (dict "to" . "from" (deepCopy $in.with)) }}{{ end -}}
  {{- if not (and $same (eq (get $in.with "$patch") "delete")) }}{{ $kept = append $kept . }}{{ end -}}
{{- end -}}
{{- $_ := set .state "objects" $kept -}}
{{- end -}}

{{- /* cloudretro.merge lays the map .from over the map .to, as a strategic merge patch. */ -}}
{{- define "cloudretro.merge" -}}
{{- $to := .to -}}
{{- range $key, $value := .from -}}
  {{- $old := get $to $key -}}
  {{- if kindIs "invalid" $value -}}
    {{- $_ := unset $to $key -}}
  {{- else if and (kindIs "map" $value) (kindIs "map" $old) -}}
    {{- include "cloudretro.merge" (dict "to" $old "from" $value) -}}
  {{- else if and (kindIs "slice" $value) (kindIs "slice" $old) (has $key (list "containers" "env" "ports" "volumes" "volumeMounts")) -}}
    {{- $list := $old -}}
    {{- range $element := $value -}}
      {{- $found := false -}}
      {{- range $old -}}
        {{- if eq .name $element.name }}{{ $found = true }}{{ include "cloudretro.merge" (dict "to" . "from" $element) }}{{ end -}}
      {{- end -}}
      {{- if not $found }}{{ $list = append $list (include "cloudretro.bare" $element | fromYaml) }}{{ end -}}
    {{- end -}}
    {{- $_ := set $to $key $list -}}
  {{- else -}}
    {{- $_ := set $to $key $value -}}
  {{- end -}}
{{- end -}}
{{- end -}}

{{- /* cloudretro.bare is a map without its keys that are null. */ -}}
{{- define "cloudretro.bare" -}}
{{- $out := dict -}}
{{- range $key, $value := . }}{{ if not (kindIs "invalid" $value) }}{{ $_ := set $out $key $value }}{{ end }}{{ end -}}
{{- toYaml $out -}}
{{- end -}}
