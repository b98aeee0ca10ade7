{{/*
The other nodes of a group: vLLM without a server, joined to the leader's engine by vLLM's own multi-node executor. Its
arguments are what the leader's cell makes of the same values (tests/chart/test_engine_group.py compares them).
*/}}

{{- define "tidegate.engine.flag" -}}
{{- $flag := printf "--%s" (.name | replace "_" "-") -}}
{{- if kindIs "bool" .value -}}
- {{ .value | ternary $flag (printf "--no-%s" (trimPrefix "--" $flag)) }}
{{- else if kindIs "slice" .value -}}
- {{ $flag }}
{{- range .value }}
- {{ include "tidegate.engine.text" . | quote }}
{{- end }}
{{- else if not (kindIs "invalid" .value) -}}
- {{ printf "%s=%s" $flag (include "tidegate.engine.text" .value) | quote }}
{{- end -}}
{{- end -}}

{{- define "tidegate.engine.followerArgs" -}}
{{- $model := .model -}}
{{- $flags := dict "dtype" $model.dtype "tensor-parallel-size" (int $model.tensorParallelSize) "pipeline-parallel-size" (int $model.pipelineParallelSize) -}}
{{- with int $model.maxModelLen }}{{ $_ := set $flags "max-model-len" . }}{{ end -}}
{{- $_ := set $flags "enable-prefix-caching" (get (mergeOverwrite (dict "enable_prefix_caching" true) $model.settings) "enable_prefix_caching") -}}
{{- with get $model.settings "quantization" }}{{ $_ := set $flags "quantization" . }}{{ end -}}
{{- if get $model.settings "lora_modules" }}{{ $_ := set $flags "enable-lora" true }}{{ end -}}
{{- if eq $model.device "cpu" }}{{ $_ := set $flags "enforce-eager" true }}{{ else }}{{ $_ := set $flags "gpu-memory-utilization" $model.gpuMemoryUtilization }}{{ end -}}
{{- $flags = mergeOverwrite $flags (include "tidegate.engine.flags" . | fromJson) (dict "node-rank" "$(LWS_WORKER_INDEX)") -}}
- {{ include "tidegate.engine.source" $model | quote }}
- --headless
{{- range $name, $value := $flags }}
{{ include "tidegate.engine.flag" (dict "name" $name "value" $value) }}
{{- end }}
{{- end -}}

{{/* A follower that left first would cut the leader's streams: it waits for the leader's port to close. */}}
{{- define "tidegate.engine.followerWait" -}}
import os, socket, time
try:
    while True:
        socket.create_connection((os.environ["LWS_LEADER_ADDRESS"], 30000), 2).close()
        time.sleep(1)
except OSError:
    pass
{{- end -}}

{{- define "tidegate.engine.followerTemplate" -}}
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
    - name: follower
      {{- include "tidegate.engine.container" . | nindent 6 }}
      command: [tini, --, vllm, serve]
      args: {{- include "tidegate.engine.followerArgs" . | nindent 8 }}
      env:
        - name: VLLM_NO_USAGE_STATS
          value: "1"
        - name: VLLM_WORKER_MULTIPROC_METHOD
          value: spawn
        {{- include "tidegate.engine.folders" .model | nindent 8 }}
        {{- with .model.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      lifecycle:
        preStop:
          exec:
            command: [python, -c, {{ include "tidegate.engine.followerWait" . | quote }}]
{{- end -}}
