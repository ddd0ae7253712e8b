{{- define "orchestrate.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "orchestrate.labels" -}}
app.kubernetes.io/name: orchestrate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "orchestrate.selector" -}}
app.kubernetes.io/name: orchestrate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "orchestrate.image" -}}
{{- $tag := .image.tag | default .root.Chart.AppVersion -}}
{{- if .image.digest }}{{ .image.repository }}@{{ .image.digest }}{{ else }}{{ .image.repository }}:{{ $tag }}{{ end -}}
{{- end -}}

{{- define "orchestrate.scheduler" -}}
{{- .Values.existingScheduler | default (printf "tcp://%s-scheduler:8786" (include "orchestrate.name" .)) -}}
{{- end -}}

{{- define "orchestrate.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "orchestrate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "orchestrate.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* How often a run is tried; a second one continues by the ledger. */}}
{{- define "orchestrate.tries" -}}
backoffLimit: 1
podFailurePolicy:
  rules:
    # A node that is drained takes no try.
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
    # VMs that failed, nothing that matched, wrong settings: the same would come of it again.
    - action: FailJob
      onExitCodes: {containerName: orchestrate, operator: In, values: [1, 2, 64]}
{{- end -}}

{{/* The pod of one run, shared by the Job and the CronJob. */}}
{{- define "orchestrate.runPod" -}}
metadata:
  labels:
    {{- include "orchestrate.labels" . | nindent 4 }}
    app.kubernetes.io/component: orchestrator
  annotations:
    prometheus.io/scrape: "true"
    prometheus.io/port: {{ .Values.orchestrator.metricsPort | quote }}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.orchestrator.terminationGracePeriodSeconds }}
  securityContext: {{- include "orchestrate.podSecurity" . | nindent 4 }}
  {{- include "orchestrate.placement" . | nindent 2 }}
  containers:
    - name: orchestrate
      image: {{ include "orchestrate.image" (dict "root" . "image" .Values.image.orchestrator) }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: ["--config", "/etc/orchestrate/config.yaml"]
      env:
        - {name: TMPDIR, value: /tmp}
        {{- if .Values.registry.existingSecret }}
        - {name: DOCKER_CONFIG, value: /etc/orchestrate/registry}
        {{- end }}
      ports:
        - {name: metrics, containerPort: {{ .Values.orchestrator.metricsPort }}}
      securityContext: {{- include "orchestrate.containerSecurity" . | nindent 8 }}
      resources: {{- toYaml .Values.orchestrator.resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/orchestrate/config.yaml, subPath: config.yaml, readOnly: true}
        - {name: vcenter, mountPath: /etc/orchestrate/vcenter, readOnly: true}
        {{- if .Values.vcenter.caConfigMap }}
        - {name: vcenter-ca, mountPath: /etc/orchestrate/ca, readOnly: true}
        {{- end }}
        {{- if .Values.ledger.existingSecret }}
        - {name: ledger, mountPath: /etc/orchestrate/ledger, readOnly: true}
        {{- end }}
        {{- if .Values.registry.existingSecret }}
        - {name: registry, mountPath: /etc/orchestrate/registry, readOnly: true}
        {{- end }}
        - {name: records, mountPath: /var/lib/orchestrate}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: config
      configMap: {name: {{ include "orchestrate.name" . }}-config}
    - name: vcenter
      secret: {secretName: {{ .Values.vcenter.tokenSecret | default .Values.vcenter.existingSecret }}, defaultMode: 288}
    {{- if .Values.vcenter.caConfigMap }}
    - name: vcenter-ca
      configMap: {name: {{ .Values.vcenter.caConfigMap }}}
    {{- end }}
    {{- if .Values.ledger.existingSecret }}
    - name: ledger
      secret: {secretName: {{ .Values.ledger.existingSecret }}, defaultMode: 288}
    {{- end }}
    {{- if .Values.registry.existingSecret }}
    - name: registry
      secret:
        secretName: {{ .Values.registry.existingSecret }}
        defaultMode: 288
        items: [{key: .dockerconfigjson, path: config.json}]
    {{- end }}
    - name: records
      persistentVolumeClaim:
        claimName: {{ .Values.records.existingClaim | default (printf "%s-records" (include "orchestrate.name" .)) }}
    - name: tmp
      emptyDir: {}
{{- end -}}
