{{/* One rule of signals.yaml, once for each entry of its `each`. Takes rule, data, given, values. */}}
{{- define "tidegate-keda.rules" -}}
{{- $rule := .rule -}}
{{- $values := .values -}}
{{- $data := .data -}}
{{- $outer := .given -}}
{{- range $one := get $rule "each" | default (list dict) -}}
{{- $given := mergeOverwrite (deepCopy $outer) (deepCopy $one) -}}
{{- $fill := dict "data" $data "given" $given }}
{{- if hasKey $rule "summary" }}
- alert: {{ $rule.name }}
  {{- with get $given "for" | default (get $rule "for") }}
  for: {{ . }}
  {{- end }}
{{- else }}
- record: {{ include "tidegate-keda.fill" (set $fill "text" $rule.name) }}
{{- end }}
  expr: {{ include "tidegate-keda.fill" (set $fill "text" $rule.expr) | quote }}
  {{- $labels := get $rule "labels" | default dict }}
  {{- with get $rule "severity" }}{{ $labels = merge (dict "severity" .) $labels }}{{ end }}
  {{- with $labels }}
  labels:
    {{- range $name, $text := . }}
    {{ $name }}: {{ include "tidegate-keda.fill" (set $fill "text" $text) | quote }}
    {{- end }}
  {{- end }}
  {{- if hasKey $rule "summary" }}
  annotations:
    summary: {{ include "tidegate-keda.fill" (set $fill "text" $rule.summary) | quote }}
    description: {{ include "tidegate-keda.fill" (set $fill "text" $rule.description) | quote }}
    runbook_url: {{ printf "%s/%s.md" $values.rules.runbookBase $rule.name | quote }}
  {{- end }}
{{- end -}}
{{- end -}}

{{/* What an alert per target knows: its parameters, name, bound and each signal's query by the signal's name. */}}
{{- define "tidegate-keda.watched" -}}
{{- $data := .data -}}
{{- $target := .target -}}
{{- $given := include "tidegate-keda.given" . | fromYaml -}}
{{- $watched := dict "target" $target.name "max_replicas" $target.maxReplicas -}}
{{- range $name, $signal := $data.signals -}}
{{- $_ := set $watched $name (include "tidegate-keda.fill" (dict "text" (get $signal $target.source) "data" $data "given" $given)) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $given $watched) -}}
{{- end -}}

{{/* The alerts that are about one target. */}}
{{- define "tidegate-keda.target-alerts" -}}
{{- $data := .data -}}
{{- $values := .values -}}
{{- $given := mergeOverwrite (deepCopy .given) (include "tidegate-keda.watched" . | fromYaml) -}}
{{- range $alert := $data.alerts -}}
{{- if eq (get $alert "per" | default "fleet") "target" -}}
{{ include "tidegate-keda.rules" (dict "rule" $alert "data" $data "given" $given "values" $values) }}
{{- else if eq (get $alert "per" | default "fleet") "signal" -}}
{{- range $name, $signal := $data.signals -}}
{{- if eq $signal.when_absent "error" -}}
{{- $one := mergeOverwrite (deepCopy $given) (dict "signal" $name "query" (get $given $name)) -}}
{{ include "tidegate-keda.rules" (dict "rule" $alert "data" $data "given" $one "values" $values) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The groups of a PrometheusRule. Targets are `values.targets`. */}}
{{- define "tidegate-keda.groups" -}}
{{- $values := .values -}}
{{- $data := .files.Get "signals.yaml" | fromYaml -}}
{{- range $name, $_ := $values.rules.slo -}}
{{- if not (hasKey $data.slo $name) }}{{ fail (printf "rules.slo.%s is not in slo of signals.yaml" $name) }}{{ end -}}
{{- end -}}
{{- $slo := mergeOverwrite (omit $data.slo "classes") (deepCopy $values.rules.slo) -}}
{{- $given := mergeOverwrite (include "tidegate-keda.scope" $values | fromYaml) $slo -}}
{{- range $name, $rules := $data.recorded }}
- name: tidegate.{{ $name }}
  interval: {{ $values.rules.interval }}
  rules:
    {{- range $rule := $rules }}
    {{- include "tidegate-keda.rules" (dict "rule" $rule "data" $data "given" $given "values" $values) | nindent 4 }}
    {{- end }}
{{- end }}
{{- if $values.rules.alerts }}
- name: tidegate.alerts
  interval: {{ $values.rules.interval }}
  rules:
    {{- range $alert := $data.alerts }}
    {{- if eq (get $alert "per" | default "fleet") "fleet" }}
    {{- include "tidegate-keda.rules" (dict "rule" $alert "data" $data "given" $given "values" $values) | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- range $values.targets }}
    {{- $target := mergeOverwrite (deepCopy $values.targetDefaults) (deepCopy .) }}
    {{- include "tidegate-keda.target-alerts" (dict "target" $target "data" $data "given" $given "values" $values) | nindent 4 }}
    {{- end }}
{{- end }}
{{- end -}}
