{{/*
What a proxy must know of streams and long answers: nothing is held back, nothing is cut before the front would. A
time-out that a proxy counts between two reads is still the whole request's where the answer is no stream. Take `.`
*/}}
{{- define "tidegate.ingress.nginx" -}}
nginx.ingress.kubernetes.io/proxy-buffering: "off"
nginx.ingress.kubernetes.io/proxy-http-version: "1.1"
nginx.ingress.kubernetes.io/proxy-read-timeout: {{ include "tidegate.longestRequest" . | quote }}
nginx.ingress.kubernetes.io/proxy-send-timeout: {{ include "tidegate.longestRequest" . | quote }}
nginx.ingress.kubernetes.io/proxy-body-size: {{ include "tidegate.largestBody" . | quote }}
# The front has its own retries, and knows what may be asked twice.
nginx.ingress.kubernetes.io/proxy-next-upstream: "off"
{{- end -}}

{{- define "tidegate.ingress.alb" -}}
alb.ingress.kubernetes.io/target-type: ip
alb.ingress.kubernetes.io/backend-protocol: HTTP
alb.ingress.kubernetes.io/healthcheck-path: /readyz
alb.ingress.kubernetes.io/healthcheck-interval-seconds: "5"
alb.ingress.kubernetes.io/healthcheck-timeout-seconds: "3"
alb.ingress.kubernetes.io/healthy-threshold-count: "2"
alb.ingress.kubernetes.io/unhealthy-threshold-count: "2"
# An ALB waits 4000 s at most.
alb.ingress.kubernetes.io/load-balancer-attributes: idle_timeout.timeout_seconds={{ min 4000 (include "tidegate.longestRequest" . | int) }}
alb.ingress.kubernetes.io/target-group-attributes: deregistration_delay.timeout_seconds={{ min 3600 (add (ceil .Values.front.drainDelaySeconds) (ceil .Values.front.drainSeconds)) }},load_balancing.algorithm.type=least_outstanding_requests
{{- end -}}
