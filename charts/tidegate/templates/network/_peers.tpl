{{/* The pods of one component. Takes root, component. */}}
{{- define "tidegate.peer" -}}
podSelector:
  matchLabels: {{- include "tidegate.selectorLabels" . | nindent 4 }}
{{- end -}}

{{/* Prometheus, by its namespace. Takes `.` */}}
{{- define "tidegate.monitoringPeer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Values.networkPolicy.monitoringNamespace }}
{{- end -}}

{{- define "tidegate.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}
