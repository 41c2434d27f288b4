# An image with nothing in it to ask a server for its health, plus wget. The collector's and Tempo 2's have neither a shell nor
# a command of their own for it: https://github.com/open-telemetry/opentelemetry-collector-releases/issues/1145 and
# https://github.com/grafana/tempo/issues/6965 (it comes with Tempo 3).
ARG BASE
FROM busybox:1.37.0-musl AS busybox
FROM ${BASE}
COPY --from=busybox /bin/busybox /bin/wget
