{{/* config.yml: the values in `config`, over the defaults of the chart. */}}
{{- define "wharf.config" -}}
{{- include "wharf.check" . -}}
{{- $config := deepCopy .Values.config -}}
{{- $http := dict
      "addr" ":5000"
      "draintimeout" (printf "%ds" (int .Values.termination.drainSeconds))
      "headers" (dict "X-Content-Type-Options" (list "nosniff"))
      "debug" (dict "addr" ":5001" "prometheus" (dict "enabled" true)) -}}
{{- if include "wharf.tlsSecret" . -}}
{{- $_ := set $http "tls" (dict "certificate" "/etc/wharf/tls/tls.crt" "key" "/etc/wharf/tls/tls.key") -}}
{{- end -}}
{{- $defaults := dict
      "version" "0.1"
      "http" $http
      "health" (dict "storagedriver" (dict "enabled" true "interval" "10s" "threshold" 3)) -}}
{{- if not (include "wharf.stores" .) -}}
{{- $_ := set $defaults "storage" (dict "filesystem" (dict "rootdirectory" "/var/lib/registry")) -}}
{{- end -}}
{{- if include "wharf.htpasswdSecret" . -}}
{{- $users := dict "realm" .Values.htpasswd.realm "path" "/etc/wharf/auth/htpasswd" -}}
{{- $_ := set $defaults "auth" (dict "htpasswd" $users) -}}
{{- end -}}
{{- mustMergeOverwrite $defaults $config | toYaml -}}
{{- end -}}

{{/* The stores that the values name, with a space between them. */}}
{{- define "wharf.stores" -}}
{{- $storage := default dict .Values.config.storage -}}
{{- if kindIs "string" $storage -}}
{{- $storage -}}
{{- else -}}
{{- $known := list "filesystem" "inmemory" "s3" "s3aws" "azure" "gcs" "oss" "swift" "rados" -}}
{{- $named := list -}}
{{- range $known }}{{ if hasKey $storage . }}{{ $named = append $named . }}{{ end }}{{ end -}}
{{- join " " $named -}}
{{- end -}}
{{- end -}}

{{/* `true` when the data lies in a bucket, which many pods may share. */}}
{{- define "wharf.inBucket" -}}
{{- if has (include "wharf.stores" .) (list "s3" "s3aws") }}true{{ end -}}
{{- end -}}

{{/* The directory of the data; empty: there is none. */}}
{{- define "wharf.directory" -}}
{{- $store := include "wharf.stores" . -}}
{{- if has $store (list "" "filesystem") -}}
{{- $config := .Values.config -}}
{{- $directory := "/var/lib/registry" -}}
{{- if and $store (kindIs "map" $config.storage) $config.storage.filesystem -}}
{{- $directory = default $directory $config.storage.filesystem.rootdirectory -}}
{{- end -}}
{{- $directory -}}
{{- end -}}
{{- end -}}

{{/* The port of an address of the configuration: a dict of `key` (for the error), `addr`. */}}
{{- define "wharf.port" -}}
{{- if not (regexMatch "^(0\\.0\\.0\\.0|\\[::\\])?:[0-9]+$" .addr) -}}
{{- fail (printf "config.%s is %q; in a pod it must be all addresses and a port, such as `:5000`: the cluster connects from outside of the pod" .key .addr) -}}
{{- end -}}
{{- regexFind "[0-9]+$" .addr -}}
{{- end -}}

{{- define "wharf.registryPort" -}}
{{- $http := default dict .Values.config.http -}}
{{- include "wharf.port" (dict "key" "http.addr" "addr" (default ":5000" $http.addr)) -}}
{{- end -}}

{{- define "wharf.debugPort" -}}
{{- $debug := default dict (default dict .Values.config.http).debug -}}
{{- include "wharf.port" (dict "key" "http.debug.addr" "addr" (default ":5001" $debug.addr)) -}}
{{- end -}}

{{- define "wharf.metricsPath" -}}
{{- $debug := default dict (default dict .Values.config.http).debug -}}
{{- default "/metrics" (default dict $debug.prometheus).path -}}
{{- end -}}

{{/* `https` when the pod speaks TLS. */}}
{{- define "wharf.scheme" -}}
{{- if or (include "wharf.tlsSecret" .) (default dict (default dict .Values.config.http).tls).certificate }}https{{ else }}http{{ end -}}
{{- end -}}
