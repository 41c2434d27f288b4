{{/*
Deployment, service and disruption budget of a service.
Arguments: root, name, values (of the service), env (text), ports (name to number), secrets (names; empty ones are left out),
tempSize (of a folder /data for temporary files; none if it is missing), strategy (Recreate for a program of which two processes
must not run at once; a rolling update if it is missing).
*/}}
{{- define "kennel.workload" -}}
{{- $values := .root.Values -}}
{{- $files := ternary (without .secrets "" | uniq) list (eq $values.secrets.from "files") -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "kennel.name" . }}
  labels:
    {{- include "kennel.labels" . | nindent 4 }}
spec:
  replicas: {{ int64 .values.replicas }}
  {{- with .strategy }}
  strategy:
    type: {{ . }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "kennel.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "kennel.labels" . | nindent 8 }}
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
            {{- include "kennel.env" (dict "name" $name "value" $value) | nindent 12 }}
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
          {{- if or $files .tempSize }}
          volumeMounts:
            {{- range $files }}
            - name: {{ . }}
              mountPath: /secrets/{{ . }}
              readOnly: true
            {{- end }}
            {{- if .tempSize }}
            - name: temporary
              mountPath: /data
            {{- end }}
          {{- end }}
      {{- if or $files .tempSize }}
      volumes:
        {{- range $files }}
        - name: {{ . }}
          secret:
            secretName: {{ . | quote }}
            defaultMode: 288
        {{- end }}
        {{- with .tempSize }}
        - name: temporary
          emptyDir:
            sizeLimit: {{ . | quote }}
        {{- end }}
      {{- end }}
{{- if .ports }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "kennel.name" . }}
  labels:
    {{- include "kennel.labels" . | nindent 4 }}
spec:
  # Clients of gRPC balance over the addresses of all replicas.
  clusterIP: None
  selector:
    {{- include "kennel.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - name: {{ $name }}
      port: {{ int64 $port }}
      targetPort: {{ $name }}
    {{- end }}
{{- end }}
{{- if gt (int64 .values.replicas) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "kennel.name" . }}
  labels:
    {{- include "kennel.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "kennel.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
