{{/*
Named templates, also for a parent chart that has this one as a subchart (`objects: false` there, so that this chart
renders nothing of its own). In the parent, `.Subcharts` has this chart's scope under its name or alias:

  {{ $keda := index .Subcharts "tidegate-keda" }}
  {{ include "tidegate-keda.scaledobject" (dict "target" $target "values" $values "files" $keda.Files "labels" $labels) }}
  {{ include "tidegate-keda.front-trigger" (dict "workload" $name "threshold" 0 "values" $values "files" $keda.Files) }}
  {{ include "tidegate-keda.groups" (dict "values" $values "files" $keda.Files) }}
  {{ include "tidegate-keda.require" (dict "capabilities" .Capabilities "kind" "keda.sh/v1alpha1/ScaledObject" "off" "scaling.enabled=false") }}

target  an entry of `targets` (values.yaml says what it holds).
values  this chart's values; in the parent: `mergeOverwrite (deepCopy $keda.Values) (dict "prometheus" …)`, of plain maps.
files   this chart's `.Files`, for signals.yaml.
workload, threshold  the front's Deployment; requests in flight that one of it is to have, 0: as in signals.yaml.
labels  labels of the object, a map; may be left out.
off     the value that does without, for the sentence that a cluster without the kind gets.
*/}}

{{- define "tidegate-keda.require" -}}
{{- if not (.capabilities.APIVersions.Has .kind) -}}
{{- $installs := dict "keda.sh/v1alpha1/ScaledObject" "KEDA >= 2.20" "monitoring.coreos.com/v1/PrometheusRule" "the Prometheus operator" -}}
{{- fail (printf "this cluster does not know %s: install %s, or set %s" .kind (get $installs .kind) .off) -}}
{{- end -}}
{{- end -}}

{{/* A number or text as PromQL and expr read it: whole numbers without an exponent. */}}
{{- define "tidegate-keda.value" -}}
{{- if kindIs "float64" . }}{{ if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ printf "%v" . }}{{ end }}{{ else }}{{ toString . }}{{ end -}}
{{- end -}}

{{/* A text of signals.yaml on one line: selectors first, then what is given, then defaults. Takes text, data, given. */}}
{{- define "tidegate-keda.fill" -}}
{{- $text := .text -}}
{{- range $name, $selector := .data.selectors -}}
{{- $text = replace (printf "<<%s>>" $name) $selector $text -}}
{{- end -}}
{{- $given := .given -}}
{{- range $name, $value := $given -}}
{{- $text = replace (printf "<<%s>>" $name) (include "tidegate-keda.value" $value) $text -}}
{{- end -}}
{{- range $name, $parameter := .data.parameters -}}
{{- if hasKey $parameter "default" -}}
{{- $text = replace (printf "<<%s>>" $name) (include "tidegate-keda.value" $parameter.default) $text -}}
{{- end -}}
{{- end -}}
{{- if contains "<<" $text -}}
{{- fail (printf "signals.yaml: neither a parameter nor a selector in: %s" $text) -}}
{{- end -}}
{{- regexReplaceAll "\\s+" (trim $text) " " -}}
{{- end -}}

{{/* The series that the release looks at, as the parameter `matchers`. */}}
{{- define "tidegate-keda.scope" -}}
{{- with .namespace }}{{ dict "matchers" (printf ",namespace=%q" .) | toYaml }}{{ else }}{}{{ end -}}
{{- end -}}

{{/* What a target gives to signals.yaml: its parameters, its model, the namespace that its series are in. */}}
{{- define "tidegate-keda.given" -}}
{{- $known := keys .data.parameters -}}
{{- range $name, $_ := .target.parameters -}}
{{- if not (has $name $known) -}}
{{- fail (printf "parameters.%s of the target %s is no parameter of signals.yaml; known: %s" $name $.target.name (join ", " (sortAlpha $known))) -}}
{{- end -}}
{{- end -}}
{{- $given := mergeOverwrite (include "tidegate-keda.scope" .values | fromYaml) (dict "model" .target.model) -}}
{{- toYaml (mergeOverwrite $given (deepCopy (.target.parameters | default dict))) -}}
{{- end -}}

{{- define "tidegate-keda.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}
