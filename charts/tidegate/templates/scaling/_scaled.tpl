{{/* What the keda chart's named templates take, made of this chart's values. */}}

{{/* The models that KEDA scales, as targets of the keda chart, in YAML: `targets`. Takes `.` */}}
{{- define "tidegate.scaling.targets" -}}
{{- $targets := list -}}
{{- range .Values.models -}}
{{- $model := include "tidegate.model" (dict "root" $ "entry" .) | fromYaml -}}
{{- if and $.Values.scaling.enabled $model.scaling.enabled -}}
{{- $name := include "tidegate.modelName" (dict "root" $ "entry" .) -}}
{{- $targets = append $targets (dict
  "name" $name
  "workload" $name
  "kind" (include "tidegate.engine.kind" $model)
  "model" .name
  "source" "front"
  "minReplicas" (int $model.scaling.minReplicas)
  "maxReplicas" (int $model.scaling.maxReplicas)
  "parameters" $model.scaling.parameters
  "pollingInterval" (int $.Values.scaling.pollingInterval)
  "cooldownPeriod" (int $.Values.scaling.cooldownPeriod)
) -}}
{{- end -}}
{{- end -}}
{{- dict "targets" $targets | toYaml -}}
{{- end -}}

{{/* The keda chart's values with this release's Prometheus, namespace and targets, in YAML. Takes `.` */}}
{{- define "tidegate.scaling.values" -}}
{{- $own := dict
  "prometheus" (dict "address" .Values.scaling.prometheusAddress)
  "namespace" .Release.Namespace
  "targets" (get (include "tidegate.scaling.targets" . | fromYaml) "targets")
-}}
{{- mergeOverwrite (.Subcharts.keda.Values | toYaml | fromYaml) $own | toYaml -}}
{{- end -}}

{{/* "true" where a scaled cell is a pod of its own: ReplicaSets alone ask which pod is cheapest to lose. Takes `.` */}}
{{- define "tidegate.scaling.hasDeletionCost" -}}
{{- if .Values.scaling.deletionCost.enabled -}}
{{- range get (include "tidegate.scaling.targets" . | fromYaml) "targets" }}{{ if eq .kind "Deployment" }}true{{ end }}{{ end -}}
{{- end -}}
{{- end -}}
