{{/*
What a cell is told by its environment (docs/settings.md). Takes root, model (tidegate.model, parsed), and group: how
many nodes it spans.
*/}}

{{/* One value as text: whole numbers without an exponent, lists and maps as JSON, which is YAML. */}}
{{- define "tidegate.engine.text" -}}
{{- if or (kindIs "map" .) (kindIs "slice" .) }}{{ toJson . }}
{{- else if and (kindIs "float64" .) (eq . (floor .)) }}{{ printf "%.0f" . }}
{{- else }}{{ toString . }}
{{- end -}}
{{- end -}}

{{/* A folder below the mounted weights, or a hub id. */}}
{{- define "tidegate.engine.source" -}}
{{- if and .weights.existingClaim (not (hasPrefix "/" .source)) -}}
{{- printf "/models/%s" .source -}}
{{- else -}}
{{- .source -}}
{{- end -}}
{{- end -}}

{{/* The values' vLLM flags, and where the cell spans nodes, what joins them. */}}
{{- define "tidegate.engine.flags" -}}
{{- $flags := deepCopy .model.vllmFlags -}}
{{- if gt (int .group) 1 -}}
{{- $joined := dict "distributed-executor-backend" "mp" "nnodes" (int .group) "node-rank" 0 "master-addr" "$(LWS_LEADER_ADDRESS)" -}}
{{- $flags = mergeOverwrite $flags $joined -}}
{{- end -}}
{{- toJson $flags -}}
{{- end -}}

{{/* Settings as YAML: dotted key → text. The chart's own first, then the model's `settings`, which may not repeat one. */}}
{{- define "tidegate.engine.settings" -}}
{{- $stream := int .model.drain.streamSeconds -}}
{{- $given := dict
  "model" (include "tidegate.engine.source" .model)
  "served_model_name" .model.name
  "device" .model.device
  "dtype" .model.dtype
  "tensor_parallel_size" (int .model.tensorParallelSize)
  "pipeline_parallel_size" (int .model.pipelineParallelSize)
  "gpu_memory_utilization" .model.gpuMemoryUtilization
  "start_timeout_seconds" (int .model.startSeconds)
  "drain.stream_seconds" $stream
  "drain.replica_seconds" (add $stream 10)
  "drain.node_seconds" (add $stream 20)
  "drain.grace_seconds" (include "tidegate.engine.graceSeconds" .model | int)
-}}
{{- with int .model.maxModelLen }}{{ $_ := set $given "max_model_len" . }}{{ end -}}
{{- $flags := include "tidegate.engine.flags" . -}}
{{- if ne $flags "{}" }}{{ $_ := set $given "vllm_flags" $flags }}{{ end -}}
{{- $fixed := concat (keys $given) (list "max_model_len" "vllm_flags" "drain" "host" "port" "replicas") -}}
{{- range $key, $value := .model.settings -}}
{{- if has $key $fixed -}}
{{- fail (printf "models[%s].settings.%s: the chart sets it; use the model's own value (maxModelLen, vllmFlags, drain, startSeconds, scaling, …)" $.model.name $key) -}}
{{- end -}}
{{- if and (kindIs "map" $value) (eq $key "cpu") -}}
{{- range $inner, $one := $value }}{{ $_ := set $given (printf "%s.%s" $key $inner) $one }}{{ end -}}
{{- else -}}
{{- $_ := set $given $key $value -}}
{{- end -}}
{{- end -}}
{{- toYaml $given -}}
{{- end -}}

{{/* From SIGTERM's announcement to SIGKILL: what the endpoints need to forget the cell, then the drain and its end. */}}
{{- define "tidegate.engine.graceSeconds" -}}
{{- add (int .drain.preStopSeconds) (int .drain.streamSeconds) 30 -}}
{{- end -}}

{{/* Folders that vLLM, Triton, FlashInfer and the hub's client write: all on the cache volume, whatever they are. */}}
{{- define "tidegate.engine.folders" -}}
- name: HOME
  value: /cache
- name: XDG_CACHE_HOME
  value: /cache/.cache
- name: HF_HOME
  value: /cache/huggingface
- name: VLLM_CACHE_ROOT
  value: /cache/vllm
{{- with .hubTokenSecret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: HF_TOKEN
{{- end }}
{{- end -}}

{{- define "tidegate.engine.env" -}}
{{- range $key, $value := include "tidegate.engine.settings" . | fromYaml }}
- name: TIDEGATE_ENGINE__{{ $key | replace "." "__" | upper }}
  value: {{ include "tidegate.engine.text" $value | quote }}
{{- end }}
{{ include "tidegate.engine.folders" .model }}
{{- with .model.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
