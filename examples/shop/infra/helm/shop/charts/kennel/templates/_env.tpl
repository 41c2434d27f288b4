{{/* A variable with a plain value. Arguments: name, value. */}}
{{- define "kennel.env" -}}
- name: {{ .name }}
  value: {{ .value | quote }}
{{- end -}}

{{/* A variable from a secret, or the name of its file. Arguments: root, name, secret, key. */}}
{{- define "kennel.secretEnv" -}}
{{- if eq .root.Values.secrets.from "files" -}}
- name: {{ .name }}_FILE
  value: {{ printf "/secrets/%s/%s" .secret .key | quote }}
{{- else -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | quote }}
      key: {{ .key | quote }}
{{- end -}}
{{- end -}}

{{/* The variables of all services. Arguments: root, name, auth (how its callers authenticate, if not as in the values). */}}
{{- define "kennel.commonEnv" -}}
{{ include "kennel.env" (dict "name" "LOG_FORMAT" "value" "json") }}
{{ include "kennel.env" (dict "name" "AUTH" "value" (default (default "none" .root.Values.auth) .auth)) }}
{{ include "kennel.env" (dict "name" "OTEL_SERVICE_NAME" "value" .name) }}
{{- with .root.Values.otlpEndpoint }}
{{ include "kennel.env" (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .) }}
{{- end }}
{{- end -}}

{{/* The store. Arguments: root, key (of the DSN in the secret), store and secret (if not those of the values). */}}
{{- define "kennel.storeEnv" -}}
{{- $store := default .root.Values.store .store -}}
{{- $secret := default .root.Values.secrets.store.name .secret -}}
{{ include "kennel.env" (dict "name" "STORAGE" "value" $store) }}
{{ include "kennel.secretEnv" (dict "root" .root "name" (printf "%s_DSN" (upper $store)) "secret" $secret "key" .key) }}
{{- end -}}

{{/* The broker. */}}
{{- define "kennel.brokerEnv" -}}
{{ include "kennel.env" (dict "name" "BROKER" "value" .Values.broker) }}
{{- if eq .Values.broker "kafka" }}
{{ include "kennel.env" (dict "name" "KAFKA_BROKERS" "value" .Values.kafka.brokers) }}
{{- with .Values.kafka.partitions }}
{{ include "kennel.env" (dict "name" "KAFKA_PARTITIONS" "value" (toString (int64 .))) }}
{{- end }}
{{- else }}
{{ include "kennel.secretEnv" (dict "root" . "name" (printf "%s_URL" (upper .Values.broker)) "secret" .Values.secrets.broker.name "key" .Values.secrets.broker.key) }}
{{- end }}
{{- end -}}

{{/* The name of the broker's secret; empty for Kafka, whose addresses are plain values. */}}
{{- define "kennel.brokerSecret" -}}
{{- if ne .Values.broker "kafka" }}{{ .Values.secrets.broker.name }}{{ end -}}
{{- end -}}

{{/* The cache. */}}
{{- define "kennel.cacheEnv" -}}
{{ include "kennel.env" (dict "name" "CACHE" "value" "redis") }}
{{ include "kennel.env" (dict "name" "REDIS_ADDR" "value" .Values.redis.address) }}
{{- with .Values.secrets.redis.name }}
{{ include "kennel.secretEnv" (dict "root" $ "name" "REDIS_PASSWORD" "secret" . "key" $.Values.secrets.redis.key) }}
{{- end }}
{{- end -}}

{{/* The object store. */}}
{{- define "kennel.objectsEnv" -}}
{{- $secret := .Values.secrets.s3 -}}
{{ include "kennel.env" (dict "name" "OBJECTS" "value" "s3") }}
{{ include "kennel.env" (dict "name" "S3_STORAGE_ENDPOINT" "value" .Values.s3.endpoint) }}
{{ include "kennel.env" (dict "name" "S3_STORAGE_ENDPOINT_PUBLIC" "value" .Values.s3.publicEndpoint) }}
{{ include "kennel.env" (dict "name" "S3_STORAGE_REGION" "value" .Values.s3.region) }}
{{ include "kennel.env" (dict "name" "S3_STORAGE_BUCKET" "value" .Values.s3.bucket) }}
{{ include "kennel.secretEnv" (dict "root" . "name" "S3_STORAGE_KEY" "secret" $secret.name "key" $secret.idKey) }}
{{ include "kennel.secretEnv" (dict "root" . "name" "S3_STORAGE_SECRET" "secret" $secret.name "key" $secret.secretKey) }}
{{- end -}}
