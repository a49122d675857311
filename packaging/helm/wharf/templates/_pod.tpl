{{/* The pod of both kinds of workload. */}}
{{- define "wharf.pod" -}}
metadata:
  labels:
    {{- include "wharf.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    # A pod is replaced when what it reads only at its start has changed. Users and certificates are read again by themselves.
    checksum/config: {{ include "wharf.config" . | sha256sum }}
    checksum/secrets: {{ toJson (list .Values.s3 .Values.secretEnv) | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "wharf.serviceAccount" . }}
  automountServiceAccountToken: false
  # Its variables would look like keys of the configuration.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.termination.delaySeconds .Values.termination.drainSeconds 10 }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.topologySpreadConstraints }}
  topologySpreadConstraints: {{- toYaml .Values.topologySpreadConstraints | nindent 4 }}
  {{- else if include "wharf.inBucket" . }}
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "wharf.selector" $ | nindent 10 }}
    {{- end }}
  {{- end }}
  containers:
    - name: registry
      image: {{ include "wharf.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, /etc/docker/registry/config.yml]
      securityContext: {{- toYaml .Values.securityContext | nindent 8 }}
      {{- with .Values.resources }}
      resources: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - {name: {{ include "wharf.scheme" . }}, containerPort: {{ include "wharf.registryPort" . }}}
        - {name: debug, containerPort: {{ include "wharf.debugPort" . }}}
      {{- with include "wharf.environment" . }}{{ . | trim | nindent 6 }}{{ end }}
      # The debug port speaks neither TLS nor asks for passwords. A store that fails takes the pod out of the service; it is
      # no reason to start it again.
      readinessProbe:
        httpGet: {path: /debug/health, port: debug}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /debug/workers, port: debug}
        # A start may wait for the lock of the directory, or for the bucket to answer.
        initialDelaySeconds: 30
        periodSeconds: 20
        timeoutSeconds: 5
        failureThreshold: 3
      {{- if .Values.termination.delaySeconds }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ .Values.termination.delaySeconds }}}
      {{- end }}
      volumeMounts:
        - {name: config, mountPath: /etc/docker/registry, readOnly: true}
        {{- with include "wharf.directory" . }}
        - {name: data, mountPath: {{ quote . }}}
        {{- end }}
        {{- if include "wharf.htpasswdSecret" . }}
        - {name: htpasswd, mountPath: /etc/wharf/auth, readOnly: true}
        {{- end }}
        {{- if include "wharf.tlsSecret" . }}
        - {name: tls, mountPath: /etc/wharf/tls, readOnly: true}
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: config
      configMap: {name: {{ include "wharf.fullname" . }}}
    {{- if include "wharf.directory" . }}
    - name: data
      {{- if .Values.persistence.enabled }}
      persistentVolumeClaim:
        claimName: {{ default (include "wharf.fullname" .) .Values.persistence.existingClaim }}
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- end }}
    {{- with include "wharf.htpasswdSecret" . }}
    - name: htpasswd
      secret:
        secretName: {{ . }}
        items: [{key: {{ $.Values.htpasswd.key | quote }}, path: htpasswd}]
    {{- end }}
    {{- with include "wharf.tlsSecret" . }}
    - name: tls
      secret: {secretName: {{ . }}}
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end -}}

{{/* The variables of the registry. */}}
{{- define "wharf.environment" -}}
{{- $secret := include "wharf.s3Secret" . -}}
{{- if or $secret .Values.extraEnv }}
env:
  {{- if $secret }}
  {{- $names := .Values.s3.secretNames }}
  {{- range $variable, $key := dict "ACCESSKEY" $names.accessKey "SECRETKEY" $names.secretKey "SESSIONTOKEN" $names.sessionToken }}
  {{- if $key }}
  - name: REGISTRY_STORAGE_S3_{{ $variable }}
    valueFrom:
      secretKeyRef: {name: {{ $secret }}, key: {{ $key | quote }}}
  {{- end }}
  {{- end }}
  {{- end }}
  {{- with .Values.extraEnv }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- if or .Values.secretEnv .Values.extraEnvFrom }}
envFrom:
  {{- if .Values.secretEnv }}
  - secretRef: {name: {{ include "wharf.fullname" . }}-env}
  {{- end }}
  {{- with .Values.extraEnvFrom }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}
{{- end -}}
