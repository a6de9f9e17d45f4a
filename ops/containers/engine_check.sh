#!/usr/bin/env bash
# Builds the image, brings the stack up on a Docker engine with volumes of its own, and takes it down again.
# Ends with 0 if every service is healthy, a click gets the model's list, also after two workers and two scorers
# share the partitions, Prometheus scrapes them all, and every role ends with 0 when it is stopped.
# Variables of docker-compose.yml hold (HOPSTREAM_DATA, TRAIN_BUDGET, TORCH_BACKEND ...); stand_ins.sh makes images
# where no hub can be reached. Grafana is left out, by name, where its image cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."

project=hopstream-check
export RATE=${RATE:-10} # the check is of the pieces, not of how fast a busy machine is
python=${PYTHON:-python3}
server=127.0.0.1:${SERVER_PORT:-8080}
prometheus=127.0.0.1:${PROMETHEUS_PORT:-9090}
compose() { docker compose --project-name "$project" --progress quiet "$@"; }
say() { printf '[%4d s] %s\n' "$SECONDS" "$*"; }
die() {
  say "FAILED: $*"
  compose ps --all
  compose logs --tail 15 --no-color
  exit 1
}
until_true() { # SECONDS WHAT COMMAND...
  local ends=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$ends" ] || die "not so after $SECONDS s: $what"
    sleep 2
  done
  say "$what"
}
at_hand() { docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1" >/dev/null 2>&1; }
healthy() { # every container of these services, and at least one of each
  local service ids
  for service; do
    ids=$(compose ps --quiet "$service")
    [ -n "$ids" ] || return 1
    for id in $ids; do
      [ "$(docker inspect --format '{{.State.Health.Status}}' "$id")" = healthy ] || return 1
    done
  done
}
scraped() { # JOB COUNT: so many targets of the job are up
  curl -fsS -m 5 --get "$prometheus/api/v1/query" --data-urlencode "query=count(up{job=\"$1\"} == 1)" |
    grep -q "\"$2\"\]"
}
listed() { # USER: a click of theirs gets a list of the model's
  local offset
  offset=$(curl -fsS -m 15 "$server/events" -H 'Content-Type: application/json' \
    -d "{\"event\":\"interaction\",\"ts\":$(date +%s%3N),\"user\":\"$1\",\"item\":\"$item\",\"type\":\"click\"}" |
    "$python" -c 'import json, sys; print(json.load(sys.stdin)["accepted"][0]["offset"])') || return 1
  curl -fsS -m 15 "$server/recommend/$1?n=5&min_offset=$offset" | "$python" -c '
import json, sys
answer = json.load(sys.stdin)
sys.exit(answer["degraded"] is not None or len(answer["items"]) != 5 or not answer["model"])'
}
everybody_listed() { # with many users every partition has one of them
  local number
  for number in 1 2 3 4 5 6 7 8; do listed "$1-$number" || return 1; done
}

services="kafka worker scorer evaluator trainer server prometheus"
for service in kafka prometheus; do
  at_hand "$(compose config --images "$service" | grep "$service")" ||
    die "no image for $service: see ops/containers/stand_ins.sh"
done
if at_hand "$(compose config --images grafana | grep grafana/)"; then
  services="$services grafana"
else
  say "left out, no image can be had: grafana"
fi

trap 'compose down --volumes --timeout 60' EXIT
compose build
say "image built: $(docker image inspect --format '{{.Size}}' "$(compose config --images init-topics | grep hopstream)") bytes"
# shellcheck disable=SC2086 # one word per service
compose up --detach $services replay || die "up"
say "up"
# shellcheck disable=SC2086
until_true 600 "every service is healthy" healthy $services
item=$(compose exec -T scorer python -c '
from pathlib import Path
from model.registry import Registry
print(Registry(Path("/models")).load(Registry(Path("/models")).current().version).catalogue.items[0])')
until_true 300 "eight clicks got the model's lists" everybody_listed first
for job in worker scorer evaluator trainer server replay; do
  until_true 60 "Prometheus scrapes one $job" scraped "$job" 1
done

compose up --detach --no-recreate --scale worker=2 --scale scorer=2 worker scorer
until_true 600 "two workers and two scorers are healthy" healthy worker scorer
for job in worker scorer; do until_true 60 "Prometheus scrapes two of $job" scraped "$job" 2; done
until_true 300 "eight clicks got lists from two of each" everybody_listed second
[ "$(compose exec -T worker sh -c 'ls /data | wc -l')" -eq 2 ] || die "two workers have two directories"
say "each worker has a directory of its own"

compose stop
for id in $(compose ps --all --quiet); do
  docker inspect --format '{{.Name}} {{.State.ExitCode}}' "$id"
done | awk '$2 != 0 && $2 != 143 {print; wrong = 1} END {exit wrong}' || die "somebody did not end cleanly"
say "everybody stopped cleanly"
