#!/usr/bin/env bash
# Stops roles that alluxio-start.sh started: SIGTERM, and SIGKILL to those that outlive 120 seconds.
usage="Usage: alluxio-stop.sh [-hs] ACTION
ACTION
  local                 the worker and the master on this machine
  master, secondary_master, worker
                        that one on this machine
  masters, workers      on every host in conf/masters, conf/workers
  all                   workers, then masters
OPTIONS
  -s  soft: never SIGKILL
  -h  this text"

soft=0 action=""
for word in "$@"; do
  case "${word}" in
    -h|--help) echo "${usage}"; exit 0 ;;
    -s) soft=1 ;;
    -*) echo "unknown option ${word}"$'\n'"${usage}" >&2; exit 1 ;;
    *)
      [[ -z "${action}" ]] || { echo "unexpected argument ${word}"$'\n'"${usage}" >&2; exit 1; }
      action="${word}" ;;
  esac
done
[[ -n "${action}" ]] || { echo "${usage}" >&2; exit 1; }

source "$(dirname "${BASH_SOURCE[0]}")/alluxio-common.sh"

patience_seconds=120

stop_role() {
  local role="$1" pid
  if ! pid="$(running_pid "${role}")"; then
    echo "No ${role} runs here"
    rm -f "$(pid_file "${role}")"
    return
  fi
  kill -TERM "${pid}"
  for (( i = 0; i < patience_seconds * 5; i++ )); do
    if ! running_pid "${role}" > /dev/null; then
      rm -f "$(pid_file "${role}")"
      echo "Stopped the ${role} (pid ${pid})"
      return
    fi
    sleep 0.2
  done
  (( soft )) && die "The ${role} (pid ${pid}) still runs after ${patience_seconds} s"
  kill -KILL "${pid}"
  rm -f "$(pid_file "${role}")"
  echo "Killed the ${role} (pid ${pid}): it did not stop within ${patience_seconds} s"
}

flags=""
(( soft )) && flags="-s"

case "${action}" in
  local) stop_role worker; stop_role master ;;
  master|secondary_master|worker) stop_role "${action}" ;;
  masters) on_hosts masters alluxio-stop.sh "${flags}" master ;;
  workers) on_hosts workers alluxio-stop.sh "${flags}" worker ;;
  all)
    on_hosts workers alluxio-stop.sh "${flags}" worker
    on_hosts masters alluxio-stop.sh "${flags}" master ;;
  *) die "unknown action ${action}"$'\n'"${usage}" ;;
esac
