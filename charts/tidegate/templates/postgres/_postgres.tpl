{{/* Name of the Secret with POSTGRES_PASSWORD. Takes `.` */}}
{{- define "tidegate.postgresSecret" -}}
{{- .Values.store.postgres.existingSecret | default (include "tidegate.name" (dict "root" . "component" "postgres")) -}}
{{- end -}}
