{{/* An ingress to the port http of a service. Arguments: root, name. */}}
{{- define "kennel.ingress" -}}
{{- $ingress := .root.Values.ingress -}}
{{- if $ingress.enabled -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "kennel.name" . }}
  labels:
    {{- include "kennel.labels" . | nindent 4 }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . | quote }}
  {{- end }}
  {{- with $ingress.tlsSecret }}
  tls:
    - hosts: [{{ $ingress.host | quote }}]
      secretName: {{ . | quote }}
  {{- end }}
  rules:
    - host: {{ $ingress.host | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "kennel.name" . }}
                port:
                  name: http
{{- end }}
{{- end -}}
