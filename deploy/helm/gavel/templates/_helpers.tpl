{{/* How the names of all objects begin. */}}
{{- define "gavel.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "gavel.server" -}}{{ include "gavel.fullname" . }}-server{{- end -}}
{{- define "gavel.webhook" -}}{{ include "gavel.fullname" . }}-webhook{{- end -}}

{{/* By which pods of a component are selected. Takes a dict: root, component. */}}
{{- define "gavel.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of an object. Takes a dict: root, component. */}}
{{- define "gavel.labels" -}}
{{ include "gavel.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: gavel
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image. Takes a dict: root, image. */}}
{{- define "gavel.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .root.Chart.AppVersion .image.tag }}
{{- end -}}
{{- end -}}

{{/* The pod's securityContext, as Pod Security Standards' `restricted` and Gavel's example policy want it. */}}
{{- define "gavel.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "gavel.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "gavel.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end -}}

{{/* Where the pods run. Takes a dict: root, component, values. */}}
{{- define "gavel.scheduling" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- with .values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- include "gavel.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Environment of a container: who it is, for traces and logs by OTLP. Takes a dict: root, name, env. */}}
{{- define "gavel.env" -}}
{{- if .root.Values.telemetry.otlpEndpoint }}
- name: OTEL_SERVICE_NAME
  value: {{ .name }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name={{ .root.Release.Namespace }},k8s.pod.name=$(POD_NAME)
{{- end }}
{{- with .env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* DNS names of a Service. Takes a dict: root, name. */}}
{{- define "gavel.dnsNames" -}}
{{- $service := printf "%s.%s.svc" .name .root.Release.Namespace -}}
{{- list $service (printf "%s.%s" $service .root.Values.clusterDomain) | toJson -}}
{{- end -}}

{{/* Secrets of certificates. */}}
{{- define "gavel.serverSecret" -}}
{{- if eq .Values.certificates.mode "existing" -}}
{{ required "certificates.existing.serverSecret: say which Secret has the server's certificate" .Values.certificates.existing.serverSecret }}
{{- else -}}
{{ include "gavel.server" . }}-tls
{{- end -}}
{{- end -}}

{{- define "gavel.webhookSecret" -}}
{{- if eq .Values.certificates.mode "existing" -}}
{{ required "certificates.existing.webhookSecret: say which Secret has the webhook's certificate" .Values.certificates.existing.webhookSecret }}
{{- else -}}
{{ include "gavel.webhook" . }}-tls
{{- end -}}
{{- end -}}

{{- define "gavel.clientSecret" -}}
{{- if eq .Values.certificates.mode "existing" -}}
{{ required "certificates.existing.clientSecret: say which Secret has the webhook's client certificate" .Values.certificates.existing.clientSecret }}
{{- else -}}
{{ include "gavel.webhook" . }}-client-tls
{{- end -}}
{{- end -}}

{{- define "gavel.clientAuthoritySecret" -}}
{{- if eq .Values.certificates.mode "existing" -}}
{{ required "certificates.existing.clientAuthoritySecret: say which Secret has the authority of client certificates" .Values.certificates.existing.clientAuthoritySecret }}
{{- else -}}
{{ include "gavel.clientSecret" . }}
{{- end -}}
{{- end -}}

{{/* Does the webhook say who it is by a certificate? */}}
{{- define "gavel.byCertificate" -}}
{{- if and .Values.webhook.enabled (eq .Values.webhook.authentication "certificate") }}true{{ end -}}
{{- end -}}

{{/* User name of the webhook's client certificate. */}}
{{- define "gavel.clientUser" -}}
{{- if eq .Values.certificates.mode "existing" -}}
{{ required "certificates.existing.clientUser: say which user the client certificate is for" .Values.certificates.existing.clientUser }}
{{- else -}}
gavel:{{ include "gavel.webhook" . }}
{{- end -}}
{{- end -}}

{{/* Is that user the webhook's service account, by a SPIFFE ID? Helm cannot issue certificates with URIs. */}}
{{- define "gavel.clientIsServiceAccount" -}}
{{- if and .Values.authentication.spiffeTrustDomain (ne .Values.certificates.mode "self-issued") }}true{{ end -}}
{{- end -}}
