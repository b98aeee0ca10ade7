{{/* "true" where KEDA scales the front. Takes `.` */}}
{{- define "tidegate.frontIsScaled" -}}
{{- if and .Values.scaling.enabled .Values.front.autoscaling.enabled }}true{{ end -}}
{{- end -}}

{{/* Most front replicas that there can be. Takes `.` */}}
{{- define "tidegate.frontMost" -}}
{{- if include "tidegate.frontIsScaled" . }}{{ int .Values.front.autoscaling.maxReplicas }}{{ else }}{{ int .Values.front.replicas }}{{ end -}}
{{- end -}}

{{/* Fewest. Takes `.` */}}
{{- define "tidegate.frontLeast" -}}
{{- if include "tidegate.frontIsScaled" . }}{{ int .Values.front.autoscaling.minReplicas }}{{ else }}{{ int .Values.front.replicas }}{{ end -}}
{{- end -}}

{{/* Longest request, whole seconds: what proxies before the front must wait for. Takes `.` */}}
{{- define "tidegate.longestRequest" -}}
{{- dig "timeouts" "total_seconds" 3600 .Values.front.settings | ceil | int -}}
{{- end -}}

{{/* Largest body, bytes. Takes `.` */}}
{{- define "tidegate.largestBody" -}}
{{- dig "limits" "body_bytes" 16777216 .Values.front.settings | int64 -}}
{{- end -}}

{{/* The file that TIDEGATE_CONFIG names: what follows from the chart's values, and `front.settings`. Takes `.` */}}
{{- define "tidegate.frontSettings" -}}
{{- $root := . -}}
{{- $services := list -}}
{{- $served := list -}}
{{- range .Values.models -}}
{{- $services = append $services (printf "%s/%s:%s" $root.Release.Namespace (include "tidegate.engineService" (dict "root" $root "entry" .)) (include "tidegate.enginePort" $root)) -}}
{{- $served = append $served .name -}}
{{- end -}}
{{- $front := dict
      "endpoint_slices" $services
      "models" $served
      "keys_file" "/etc/tidegate/keys/keys.yaml"
      "hold" (dict "seconds" .Values.front.holdSeconds)
      "drain_delay_seconds" .Values.front.drainDelaySeconds
      "drain_seconds" .Values.front.drainSeconds -}}
{{- with .Values.redis.external.url }}{{ $_ := set $front "redis" . }}{{ end -}}
{{- if eq .Values.store.kind "sqlite" -}}
{{- $_ := set $front "store" "sqlite:////var/lib/tidegate/tidegate.db" -}}
{{- else if eq .Values.store.kind "postgres" -}}
{{- $_ := set $front "store" (printf "postgresql://tidegate@%s.%s:5432/tidegate" (include "tidegate.name" (dict "root" . "component" "postgres")) .Release.Namespace) -}}
{{- else if eq .Values.store.kind "dynamodb" -}}
{{- $_ := set $front "store" (printf "dynamodb://%s?region=%s" .Values.store.dynamodb.table .Values.store.dynamodb.region) -}}
{{- end -}}
{{- dict "front" (mergeOverwrite $front (deepCopy .Values.front.settings)) | toYaml -}}
{{- end -}}

{{/* Environment of a front's containers: what the file may not hold. Takes `.` */}}
{{- define "tidegate.frontEnv" -}}
- name: TIDEGATE_CONFIG
  value: /etc/tidegate/settings/settings.yaml
- name: TIDEGATE_FRONT__CACHE_SALT_SECRET
  valueFrom:
    secretKeyRef: {name: {{ include "tidegate.name" (dict "root" . "component" "front") }}, key: cache-salt}
{{- if .Values.redis.enabled }}
- name: TIDEGATE_FRONT__REDIS
  valueFrom:
    secretKeyRef: {name: {{ include "tidegate.name" (dict "root" . "component" "redis") }}, key: TIDEGATE_FRONT__REDIS}
{{- else if .Values.redis.external.existingSecret }}
- name: TIDEGATE_FRONT__REDIS
  valueFrom:
    secretKeyRef: {name: {{ .Values.redis.external.existingSecret }}, key: TIDEGATE_FRONT__REDIS}
{{- end }}
{{- if eq .Values.store.kind "postgres" }}
# The PostgreSQL client's own variable, for a password that the URL lacks.
- name: PGPASSWORD
  valueFrom:
    secretKeyRef: {name: {{ include "tidegate.postgresSecret" . }}, key: POSTGRES_PASSWORD}
{{- else if eq .Values.store.kind "external-postgres" }}
- name: TIDEGATE_FRONT__STORE
  valueFrom:
    secretKeyRef: {name: {{ .Values.store.external.existingSecret }}, key: TIDEGATE_FRONT__STORE}
{{- else if eq .Values.store.kind "dynamodb" }}
- name: AWS_REGION
  value: {{ .Values.store.dynamodb.region | quote }}
{{- end }}
{{- with .Values.front.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
