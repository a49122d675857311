{{/* Values that fit the schema, and still cannot work, each with its reason. */}}
{{- define "wharf.check" -}}
{{- $lines := include "wharf.secretsIn" (dict "path" "" "value" .Values.config) | trim -}}
{{- if $lines -}}
{{- $first := index (splitList "\n" $lines) 0 -}}
{{- $remedy := printf "set it in secretEnv, as REGISTRY_%s" (upper (regexReplaceAll "[.-]" $first "_")) -}}
{{- if regexMatch "^storage\\.s3(aws)?\\." $first -}}
{{- $remedy = "set s3.accessKey and s3.secretKey, or name a Secret in s3.existingSecret" -}}
{{- end -}}
{{- fail (printf "config.%s is a secret, and would stand in a ConfigMap, which more accounts may read than a Secret; %s" $first $remedy) -}}
{{- end -}}
{{- $stores := splitList " " (include "wharf.stores" .) -}}
{{- if gt (len $stores) 1 -}}
{{- fail (printf "config.storage names two stores, %s; remove all but one" (join " and " $stores)) -}}
{{- end -}}
{{- if not (include "wharf.inBucket" .) -}}
{{- if gt (int (include "wharf.pods" .)) 1 -}}
{{- $value := ternary "autoscaling.enabled: true" (printf "replicas: %d" (int .Values.replicas)) .Values.autoscaling.enabled -}}
{{- fail (printf "%s needs the data in a bucket: two pods must never write to one directory, and a volume is one. Set config.storage.s3, or one replica" $value) -}}
{{- end -}}
{{- if include "wharf.s3Secret" . -}}
{{- fail "s3 has keys, but the registry is not in a bucket; set config.storage.s3 with its region and bucket" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.s3.existingSecret (or .Values.s3.accessKey .Values.s3.secretKey) -}}
{{- fail "s3 has both existingSecret and keys; remove one of them" -}}
{{- end -}}
{{- if ne (empty .Values.s3.accessKey) (empty .Values.s3.secretKey) -}}
{{- fail "s3 must have both accessKey and secretKey, or none of them" -}}
{{- end -}}
{{- if and .Values.htpasswd.existingSecret .Values.htpasswd.users -}}
{{- fail "htpasswd has both existingSecret and users; remove one of them" -}}
{{- end -}}
{{- if and .Values.tls.existingSecret (or .Values.tls.certificate .Values.tls.key) -}}
{{- fail "tls has both existingSecret and a certificate; remove one of them" -}}
{{- end -}}
{{- if ne (empty .Values.tls.certificate) (empty .Values.tls.key) -}}
{{- fail "tls must have both certificate and key, or none of them" -}}
{{- end -}}
{{- if and (include "wharf.htpasswdSecret" .) .Values.config.auth -}}
{{- fail "htpasswd and config.auth both say how users log in; remove one of them" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty; a registry needs a host name of its own, because clients always ask for https://HOST/v2/" -}}
{{- end -}}
{{- $http := default dict .Values.config.http -}}
{{- if eq (default "tcp" $http.net) "unix" -}}
{{- fail "config.http.net: unix cannot be used: the cluster connects to a port of the pod" -}}
{{- end -}}
{{- if $http.draintimeout -}}
{{- fail "config.http.draintimeout is set by termination.drainSeconds, because the pod must be given as much time; set that" -}}
{{- end -}}
{{- end -}}

{{/* The paths of secrets in a value, each on a line: a dict of `path`, `value`. */}}
{{- define "wharf.secretsIn" -}}
{{- $path := .path -}}
{{- $names := list "accesskey" "secretkey" "sessiontoken" "secret" "password" "sentinelpassword" "accountkey" "connectionstring" "private_key" "authorization" -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- $below := ternary $key (printf "%s.%s" $path $key) (eq $path "") -}}
{{- if and $value (has (lower $key) $names) }}
{{ $below }}
{{- else }}{{ include "wharf.secretsIn" (dict "path" $below "value" $value) }}
{{- end -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "wharf.secretsIn" (dict "path" (printf "%s.%d" $path $index) "value" $value) -}}
{{- end -}}
{{- else if kindIs "string" .value -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" .value }}
{{ $path }}
{{- end -}}
{{- end -}}
{{- end -}}
