{{/*
Names, labels, images and security contexts that the components share.

Most take a dict: `root` is the chart's `.`; `component` is front, engine, redis, postgres, …; `entry` is one of
`.Values.models`.
*/}}

{{/* The release's own part of every object's name. Takes `.` */}}
{{- define "tidegate.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of one component's objects. Takes root, component. */}}
{{- define "tidegate.name" -}}
{{- printf "%s-%s" (include "tidegate.fullname" .root) .component -}}
{{- end -}}

{{/* Takes root, component, and where it is a model's: model, its name. */}}
{{- define "tidegate.labels" -}}
{{ include "tidegate.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tidegate
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What never changes between versions. Takes what tidegate.labels takes. */}}
{{- define "tidegate.selectorLabels" -}}
app.kubernetes.io/name: tidegate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- if hasKey . "model" }}
tidegate.io/model: {{ .model }}
{{- end }}
{{- end -}}

{{/* Labels of a pod: an upgrade of the chart alone restarts nothing. Takes what tidegate.labels takes. */}}
{{- define "tidegate.podLabels" -}}
{{ include "tidegate.selectorLabels" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Takes root, and image: an entry of `.Values.images`. */}}
{{- define "tidegate.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "tidegate.imagePullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Pod level of the `restricted` standard. Takes `.`, or a dict with user: the image's uid where it is not ours. */}}
{{- define "tidegate.podSecurity" -}}
{{- $user := ternary (get . "user") 10001 (hasKey . "user") -}}
runAsNonRoot: true
runAsUser: {{ $user }}
runAsGroup: {{ $user }}
fsGroup: {{ $user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Container level of the same; what a container writes, it writes into a volume. */}}
{{- define "tidegate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* An entry of `.Values.models` with the defaults that it leaves out, as YAML. Takes root, entry. */}}
{{- define "tidegate.model" -}}
{{- mergeOverwrite (deepCopy .root.Values.modelDefaults) (deepCopy .entry) | toYaml -}}
{{- end -}}

{{/* Name of a model's objects, at most 52 characters: KEDA and pods add to it. Takes root, entry. */}}
{{- define "tidegate.modelName" -}}
{{- $name := printf "%s-engine-%s" (include "tidegate.fullname" .root) .entry.name -}}
{{- if gt (len $name) 52 -}}
{{- $name = printf "%s-%s" (trunc 43 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{/* A model's headless Service; its port is called tidegate.enginePort. Takes root, entry. */}}
{{- define "tidegate.engineService" -}}
{{- include "tidegate.modelName" . -}}
{{- end -}}

{{- define "tidegate.enginePort" -}}
http
{{- end -}}

{{/* Name of the Secret with keys.yaml and api-key. Takes `.` */}}
{{- define "tidegate.keysSecret" -}}
{{- .Values.keys.existingSecret | default (include "tidegate.name" (dict "root" . "component" "keys")) -}}
{{- end -}}

{{/* A value of a Secret of ours that is there already, else a new random one. Takes root, secret, key, length. */}}
{{- define "tidegate.keptRandom" -}}
{{- $there := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- $value := get (dig "data" dict $there) .key -}}
{{- if $value }}{{ b64dec $value }}{{ else }}{{ randAlphaNum .length }}{{ end -}}
{{- end -}}
