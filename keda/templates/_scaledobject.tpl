{{/* A trigger that Prometheus answers; no answer is an error. Takes name, query, metricType, threshold, prometheus. */}}
{{- define "tidegate-keda.trigger" -}}
type: prometheus
name: {{ .name }}
metricType: {{ .metricType }}
metadata:
  serverAddress: {{ .prometheus.address | quote }}
  query: {{ .query | quote }}
  threshold: {{ int .threshold | quote }}
  ignoreNullValues: "false"
  {{- with .prometheus.authModes }}
  authModes: {{ . | quote }}
  {{- end }}
{{- with .prometheus.authenticationRef }}
authenticationRef: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The trigger of what scales the front itself. */}}
{{- define "tidegate-keda.front-trigger" -}}
{{- $data := .files.Get "signals.yaml" | fromYaml -}}
{{- $given := mergeOverwrite (include "tidegate-keda.scope" .values | fromYaml) (dict "workload" .workload) -}}
{{- include "tidegate-keda.trigger" (dict
  "name" $data.front.name
  "query" (include "tidegate-keda.fill" (dict "text" $data.front.query "data" $data "given" $given))
  "metricType" $data.front.metric_type
  "threshold" (.threshold | default $data.front.threshold)
  "prometheus" .values.prometheus
) -}}
{{- end -}}

{{/* What no schema can say of a target; each failure names the field and the fix. */}}
{{- define "tidegate-keda.check" -}}
{{- $at := printf "the target %s" .name -}}
{{- if gt (len .name) 54 -}}
{{- fail (printf "%s: the name is longer than 54 characters, and KEDA's HPA keda-hpa-%s longer than 63; shorten it" $at .name) -}}
{{- end -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "%s: minReplicas %d is above maxReplicas %d" $at (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if and (eq (int .minReplicas) 0) (eq .source "engine") -}}
{{- fail (printf "%s: minReplicas 0 needs source front: engines that are gone cannot say that somebody waits; set minReplicas to 1" $at) -}}
{{- end -}}
{{- end -}}

{{- define "tidegate-keda.scaledobject" -}}
{{- $values := .values -}}
{{- $target := mergeOverwrite (deepCopy $values.targetDefaults) (deepCopy .target) -}}
{{- include "tidegate-keda.check" $target -}}
{{- $data := .files.Get "signals.yaml" | fromYaml -}}
{{- $given := include "tidegate-keda.given" (dict "target" $target "values" $values "data" $data) | fromYaml -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ $target.name }}
  {{- with get . "labels" }}
  labels: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  scaleTargetRef:
    apiVersion: {{ eq $target.kind "LeaderWorkerSet" | ternary "leaderworkerset.x-k8s.io/v1" "apps/v1" }}
    kind: {{ $target.kind }}
    name: {{ $target.workload }}
  pollingInterval: {{ int $target.pollingInterval }}
  cooldownPeriod: {{ int $target.cooldownPeriod }}
  minReplicaCount: {{ int $target.minReplicas }}
  maxReplicaCount: {{ int $target.maxReplicas }}
  fallback: {{- toYaml $values.fallback | nindent 4 }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior: {{- toYaml $values.behavior | nindent 8 }}
    scalingModifiers:
      formula: {{ include "tidegate-keda.fill" (dict "text" $data.composite.formula "data" $data "given" $given) | quote }}
      target: {{ $data.composite.target | quote }}
      activationTarget: {{ $data.composite.activation_target | quote }}
      metricType: {{ $data.composite.metric_type }}
  triggers:
    {{- range $name, $signal := $data.signals }}
    # The formula decides; KEDA wants a threshold of every trigger.
    {{- $query := include "tidegate-keda.fill" (dict "text" (get $signal $target.source) "data" $data "given" $given) }}
    {{- $trigger := dict "name" $name "query" $query "metricType" "AverageValue" "threshold" 1 "prometheus" $values.prometheus }}
    - {{ include "tidegate-keda.trigger" $trigger | nindent 6 | trim }}
    {{- end }}
{{- end -}}
