{{/* The name of a service of the release. Arguments: root, name. */}}
{{- define "gifs.name" -}}
{{- printf "%s-%s" .root.Release.Name .name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "gifs.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "gifs.labels" -}}
{{ include "gifs.selector" . }}
app.kubernetes.io/part-of: gifs
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end -}}

{{/* A variable with a plain value. Arguments: name, value. */}}
{{- define "gifs.env" -}}
- name: {{ .name }}
  value: {{ .value | quote }}
{{- end -}}

{{/* A variable from a secret. Arguments: name, secret, key. */}}
{{- define "gifs.secretEnv" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret | quote }}
      key: {{ .key | quote }}
{{- end -}}

{{/* The variables of all services. */}}
{{- define "gifs.commonEnv" -}}
{{- $values := .root.Values -}}
{{ include "gifs.env" (dict "name" "LOG_FORMAT" "value" "json") }}
{{ include "gifs.env" (dict "name" "OTEL_SERVICE_NAME" "value" .name) }}
{{- with $values.otlpEndpoint }}
{{ include "gifs.env" (dict "name" "OTEL_EXPORTER_OTLP_ENDPOINT" "value" .) }}
{{- end }}
{{- end -}}

{{/* The store and the broker. Arguments: root, key of the DSN. */}}
{{- define "gifs.backendEnv" -}}
{{- $values := .root.Values -}}
{{ include "gifs.env" (dict "name" "STORAGE" "value" $values.store) }}
{{ include "gifs.secretEnv" (dict "name" (printf "%s_DSN" (upper $values.store)) "secret" $values.secrets.store.name "key" .key) }}
{{ include "gifs.env" (dict "name" "BROKER" "value" $values.broker) }}
{{- if eq $values.broker "kafka" }}
{{ include "gifs.env" (dict "name" "KAFKA_BROKERS" "value" $values.kafka.brokers) }}
{{- else }}
{{ include "gifs.secretEnv" (dict "name" (printf "%s_URL" (upper $values.broker)) "secret" $values.secrets.broker.name "key" $values.secrets.broker.key) }}
{{- end }}
{{- end -}}

{{/* The cache. */}}
{{- define "gifs.cacheEnv" -}}
{{- $values := .Values -}}
{{ include "gifs.env" (dict "name" "CACHE" "value" "redis") }}
{{ include "gifs.env" (dict "name" "REDIS_ADDR" "value" $values.redis.address) }}
{{- with $values.secrets.redis.name }}
{{ include "gifs.secretEnv" (dict "name" "REDIS_PASSWORD" "secret" . "key" $values.secrets.redis.key) }}
{{- end }}
{{- end -}}

{{/* The object store. */}}
{{- define "gifs.objectsEnv" -}}
{{- $values := .Values -}}
{{ include "gifs.env" (dict "name" "OBJECTS" "value" "s3") }}
{{ include "gifs.env" (dict "name" "S3_STORAGE_ENDPOINT" "value" $values.s3.endpoint) }}
{{ include "gifs.env" (dict "name" "S3_STORAGE_ENDPOINT_PUBLIC" "value" $values.s3.publicEndpoint) }}
{{ include "gifs.env" (dict "name" "S3_STORAGE_REGION" "value" $values.s3.region) }}
{{ include "gifs.env" (dict "name" "S3_STORAGE_BUCKET" "value" $values.s3.bucket) }}
{{ include "gifs.secretEnv" (dict "name" "S3_STORAGE_KEY" "secret" $values.secrets.s3.name "key" $values.secrets.s3.idKey) }}
{{ include "gifs.secretEnv" (dict "name" "S3_STORAGE_SECRET" "secret" $values.secrets.s3.name "key" $values.secrets.s3.secretKey) }}
{{- end -}}

{{/*
Deployment, service and disruption budget of a service.
Arguments: root, name, values (of the service), env (text), ports (name to number), tempSize (empty for no folder).
*/}}
{{- define "gifs.workload" -}}
{{- $values := .root.Values -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "gifs.name" . }}
  labels:
    {{- include "gifs.labels" . | nindent 4 }}
spec:
  replicas: {{ int64 .values.replicas }}
  selector:
    matchLabels:
      {{- include "gifs.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "gifs.labels" . | nindent 8 }}
      {{- if $values.scrapeAnnotations }}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "9090"
      {{- end }}
    spec:
      # Variables such as GIF_STORAGE_PORT of Kubernetes would look like settings.
      enableServiceLinks: false
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 45
      {{- with $values.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . | quote }}
        {{- end }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {{ .name }}
          image: {{ printf "%s/%s:%s" $values.image.repository .name (default .root.Chart.AppVersion $values.image.tag) | quote }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args: [serve]
          env:
            {{- .env | nindent 12 }}
            {{- range $name, $value := .values.env }}
            {{- include "gifs.env" (dict "name" $name "value" $value) | nindent 12 }}
            {{- end }}
          ports:
            {{- range $name, $port := .ports }}
            - name: {{ $name }}
              containerPort: {{ int64 $port }}
            {{- end }}
            - name: sys
              containerPort: 9090
          startupProbe:
            httpGet: { path: /live, port: sys }
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet: { path: /live, port: sys }
            periodSeconds: 10
            timeoutSeconds: 3
          readinessProbe:
            httpGet: { path: /ready, port: sys }
            periodSeconds: 5
            timeoutSeconds: 3
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          {{- if .tempSize }}
          volumeMounts:
            - name: downloads
              mountPath: /data
          {{- end }}
      {{- if .tempSize }}
      volumes:
        - name: downloads
          emptyDir:
            sizeLimit: {{ .tempSize | quote }}
      {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "gifs.name" . }}
  labels:
    {{- include "gifs.labels" . | nindent 4 }}
spec:
  # Clients of gRPC balance over the addresses of all replicas.
  clusterIP: None
  selector:
    {{- include "gifs.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - name: {{ $name }}
      port: {{ int64 $port }}
      targetPort: {{ $name }}
    {{- end }}
{{- if gt (int64 .values.replicas) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "gifs.name" . }}
  labels:
    {{- include "gifs.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "gifs.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
