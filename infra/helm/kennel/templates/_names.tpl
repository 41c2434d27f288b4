{{/* The name of a service of the release. Arguments: root, name. */}}
{{- define "kennel.name" -}}
{{- printf "%s-%s" .root.Release.Name .name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The URL of a service of the release, inside the cluster. Arguments: root, name, port. */}}
{{- define "kennel.url" -}}
{{- printf "http://%s:%d" (include "kennel.name" .) (int64 .port) -}}
{{- end -}}

{{- define "kennel.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end -}}

{{- define "kennel.labels" -}}
{{ include "kennel.selector" . }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | quote }}
{{- end -}}
