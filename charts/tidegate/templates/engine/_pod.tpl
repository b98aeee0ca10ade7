{{/* The pod of a cell, and of its followers. All take root, model (tidegate.model, parsed), name, group. */}}

{{- define "tidegate.engine.kind" -}}
{{- gt (int .pipelineParallelSize) 1 | ternary "LeaderWorkerSet" "Deployment" -}}
{{- end -}}

{{/* Above one cell, a rollout may take one away where no GPU is spare; the only one goes when its successor is ready. */}}
{{- define "tidegate.engine.rolling" -}}
maxSurge: 1
maxUnavailable: {{ gt (int .scaling.minReplicas) 1 | ternary 1 0 }}
{{- end -}}

{{/* Requests and limits, with the GPUs of one node. */}}
{{- define "tidegate.engine.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if ne .device "cpu" -}}
{{- $gpus := dict .gpu.resource (toString (int .tensorParallelSize)) -}}
{{- $_ := set $resources "limits" (mergeOverwrite (deepCopy (get $resources "limits" | default dict)) $gpus) -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* On a node without a GPU nothing has to be tolerated for one. */}}
{{- define "tidegate.engine.tolerations" -}}
{{- $kept := list -}}
{{- range .tolerations -}}
{{- if not (and (eq $.device "cpu") (eq (get . "key") $.gpu.resource)) }}{{ $kept = append $kept . }}{{ end -}}
{{- end -}}
{{- with $kept }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{- define "tidegate.engine.mounts" -}}
- name: shared-memory
  mountPath: /dev/shm
# Ray's sockets are below /tmp, whatever TMPDIR says: their paths have to be short.
- name: tmp
  mountPath: /tmp
- name: cache
  mountPath: /cache
{{- if .model.weights.existingClaim }}
- name: weights
  mountPath: /models
  readOnly: true
{{- end }}
{{- end -}}

{{- define "tidegate.engine.volumes" -}}
- name: shared-memory
  emptyDir:
    medium: Memory
    sizeLimit: {{ .model.sharedMemory | quote }}
- name: tmp
  emptyDir: {}
- name: cache
  {{- if or .model.cache.existingClaim .model.cache.size }}
  persistentVolumeClaim:
    claimName: {{ .model.cache.existingClaim | default (printf "%s-cache" .name) }}
  {{- else }}
  emptyDir: {}
  {{- end }}
{{- with .model.weights.existingClaim }}
- name: weights
  persistentVolumeClaim:
    claimName: {{ . }}
    readOnly: true
{{- end }}
{{- end -}}

{{/* What every pod of a cell has besides its container. */}}
{{- define "tidegate.engine.pod" -}}
serviceAccountName: {{ include "tidegate.name" (dict "root" .root "component" "engine") }}
automountServiceAccountToken: false
# A Service of ours would put TIDEGATE_… variables into the pod that are no settings.
enableServiceLinks: false
securityContext:
  {{- include "tidegate.podSecurity" (dict) | nindent 2 }}
terminationGracePeriodSeconds: {{ include "tidegate.engine.graceSeconds" .model }}
{{- include "tidegate.imagePullSecrets" .root }}
{{- with .model.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "tidegate.engine.tolerations" .model }}
tolerations: {{- . | nindent 2 }}
{{- end }}
{{- with .model.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if eq (int .group) 1 }}
# Not for a group: its pods want to be near each other.
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "tidegate.selectorLabels" (dict "root" .root "component" "engine" "model" .model.name) | nindent 8 }}
{{- end }}
volumes: {{- include "tidegate.engine.volumes" . | nindent 2 }}
{{- end -}}

{{/* What every container of a cell has besides its command and its probes. */}}
{{- define "tidegate.engine.container" -}}
image: {{ include "tidegate.image" (dict "root" .root "image" .root.Values.images.engine) }}
imagePullPolicy: {{ .root.Values.images.engine.pullPolicy }}
securityContext: {{- include "tidegate.containerSecurity" .root | nindent 2 }}
resources: {{- include "tidegate.engine.resources" .model | nindent 2 }}
{{- with .model.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts: {{- include "tidegate.engine.mounts" . | nindent 2 }}
{{- end -}}

{{/* Pod template of the cell itself: the whole of a Deployment's, the leader of a group. */}}
{{- define "tidegate.engine.template" -}}
metadata:
  labels:
    {{- include "tidegate.selectorLabels" (dict "root" .root "component" "engine" "model" .model.name) | nindent 4 }}
    {{- with .root.Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .model.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- include "tidegate.engine.pod" . | nindent 2 }}
  containers:
    - name: engine
      {{- include "tidegate.engine.container" . | nindent 6 }}
      ports:
        - name: {{ include "tidegate.enginePort" .root }}
          containerPort: 30000
          protocol: TCP
      env: {{- include "tidegate.engine.env" . | nindent 8 }}
      {{- include "tidegate.engine.probes" .model | nindent 6 }}
      lifecycle:
        preStop:
          exec:
            command: [sleep, {{ int .model.drain.preStopSeconds | quote }}]
{{- end -}}

{{/*
A cell that loads too long ends by itself and says why; the startup probe only waits a minute longer. Ray Serve replaces
a replica that hangs or died, which takes as long as a start: liveness is for a cell where even that does not help.
*/}}
{{- define "tidegate.engine.probes" -}}
{{- $healthz := dict "path" "/-/healthz" "port" "http" -}}
startupProbe:
  httpGet: {{- toYaml $healthz | nindent 4 }}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ add 12 (ceil (divf .startSeconds 5)) }}
readinessProbe:
  httpGet: {{- toYaml $healthz | nindent 4 }}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 3
livenessProbe:
  httpGet: {{- toYaml $healthz | nindent 4 }}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: {{ add 6 (ceil (divf (max (int .startSeconds) (include "tidegate.engine.graceSeconds" . | int)) 10)) }}
{{- end -}}
