#!/usr/bin/env bash
# Starts roles in the background, with a log and a pid file each, and waits until they serve.
usage="Usage: alluxio-start.sh [-afhNw] [-i BACKUP] ACTION [MOPT] [-f]
ACTION
  local [MOPT]          a master and a worker on this machine
  master                a master on this machine
  secondary_master      a secondary master on this machine: checkpoints for a single master
  worker [MOPT]         a worker on this machine
  masters               a master on every host in conf/masters
  workers [MOPT]        a worker on every host in conf/workers
  all [MOPT]            masters, then workers
  restart_worker        the worker on this machine, if it is dead
  restart_workers       the same on every host in conf/workers
  safe                  the master here, started again whenever it ends, until you interrupt
MOPT
  Mount                 mount the memory tier before the worker starts
  SudoMount             the same by sudo
  NoMount               use what is there (default)
OPTIONS
  -a  do not wait until roles serve
  -i  fill the master's journal, which must be formatted and empty, from this backup: a URI, or a path
      of the master's machine
  -f  format journal and worker storage first; alone it implies SudoMount
  -N  keep a process that runs already, instead of stopping it first
  -w  wait for the processes to end (for service managers)
  -h  this text"

async=0 format=0 keep=0 wait_end=0 action="" mopt="" backup=""
while (( $# )); do
  word="$1"
  shift
  case "${word}" in
    -i)
      (( $# )) || { echo "-i needs the URI of a backup"$'\n'"${usage}" >&2; exit 1; }
      backup="$1"
      shift ;;
    -h|--help) echo "${usage}"; exit 0 ;;
    -[afNw]*)
      for (( i = 1; i < ${#word}; i++ )); do
        case "${word:i:1}" in
          a) async=1 ;; f) format=1 ;; N) keep=1 ;; w) wait_end=1 ;;
          *) echo "unknown option -${word:i:1}"$'\n'"${usage}" >&2; exit 1 ;;
        esac
      done ;;
    Mount|SudoMount|NoMount) mopt="${word}" ;;
    -*) echo "unknown option ${word}"$'\n'"${usage}" >&2; exit 1 ;;
    *)
      [[ -z "${action}" ]] || { echo "unexpected argument ${word}"$'\n'"${usage}" >&2; exit 1; }
      action="${word}" ;;
  esac
done
[[ -n "${action}" ]] || { echo "${usage}" >&2; exit 1; }
[[ -n "${mopt}" ]] || { if (( format )); then mopt=SudoMount; else mopt=NoMount; fi; }

source "$(dirname "${BASH_SOURCE[0]}")/alluxio-common.sh"

# Most seconds until a role serves: a master with a long journal takes its time.
ready_seconds="${ALLUXIO_START_TIMEOUT:-120}"
started=()

prepare_tier() {
  case "${mopt}" in
    Mount|SudoMount) "${scripts_dir}/alluxio-mount.sh" "${mopt}" local ;;
    NoMount)
      local dir kind
      for dir in $(memory_tier_dirs); do
        mkdir -p "${dir}" 2>/dev/null && [[ -w "${dir}" ]] || die \
          "${dir} (tier 0) cannot be written: start with Mount or SudoMount, or set alluxio.worker.tieredstore.level0.dirs.path"
        kind="$(stat -f -c %T "${dir}")"
        [[ "${kind}" == tmpfs || "${kind}" == ramfs ]] || echo \
          "Note: ${dir} (tier 0) lies on ${kind}, not in memory; Mount and SudoMount mount a tmpfs there"
      done ;;
  esac
}

start_role() {
  local role="$1" pid log
  if pid="$(running_pid "${role}")"; then
    if (( keep )); then echo "The ${role} runs already (pid ${pid})"; return; fi
    "${scripts_dir}/alluxio-stop.sh" "${role}"
  fi
  log="$(logs_dir)/${role}.log"
  local options=()
  if [[ -n "${backup}" && "${role}" == master ]]; then
    options=("-Dalluxio.master.journal.init.from.backup=${backup}")
  fi
  nohup "${ALLUXIO_BIN}" "${role}" "${options[@]}" >> "${log}" 2> "${log%.log}.out" < /dev/null &
  pid=$!
  echo "${pid}" > "$(pid_file "${role}")"
  started+=("${pid}")
  echo "Starting the ${role} (pid ${pid}, log ${log})"
  (( async )) && return
  # A secondary master serves nobody: it is there once it lives after a second.
  if [[ "${role}" == secondary_master ]]; then
    sleep 1
    kill -0 "${pid}" 2>/dev/null && return
    rm -f "$(pid_file "${role}")"
    die "The ${role} ended at once: $(tail -n 3 "${log%.log}.out")"
  fi
  for (( i = 0; i < ready_seconds * 5; i++ )); do
    if ! kill -0 "${pid}" 2>/dev/null; then
      rm -f "$(pid_file "${role}")"
      die "The ${role} ended at once: $(tail -n 3 "${log%.log}.out")"
    fi
    if is_ready "${role}"; then echo "The ${role} serves"; return; fi
    sleep 0.2
  done
  die "The ${role} does not serve after ${ready_seconds} s; it goes on trying, see ${log}"
}

format_here() {
  (( format )) || return 0
  "${scripts_dir}/alluxio-stop.sh" local
  "${ALLUXIO_BIN}" "$1"
}

flags=""
(( async )) && flags+=" -a"
(( keep )) && flags+=" -N"
(( format )) && flags+=" -f"
# The words are read once more by the shell on the other host.
[[ -n "${backup}" ]] && master_flags="${flags} -i $(printf %q "${backup}")" || master_flags="${flags}"

case "${action}" in
  local) prepare_tier; format_here format; start_role master; start_role worker ;;
  master) format_here formatMaster; start_role master ;;
  secondary_master) start_role secondary_master ;;
  worker) prepare_tier; format_here formatWorker; start_role worker ;;
  masters) on_hosts masters alluxio-start.sh "${master_flags}" master ;;
  workers) on_hosts workers alluxio-start.sh "${flags}" worker "${mopt}" ;;
  all)
    on_hosts masters alluxio-start.sh "${master_flags}" master
    on_hosts workers alluxio-start.sh "${flags}" worker "${mopt}" ;;
  restart_worker)
    if pid="$(running_pid worker)"; then echo "The worker runs (pid ${pid})"
    else prepare_tier; start_role worker; fi ;;
  restart_workers) on_hosts workers alluxio-start.sh "${flags}" restart_worker "${mopt}" ;;
  safe)
    while true; do
      if ! running_pid master > /dev/null; then start_role master; fi
      sleep 2
    done ;;
  *) die "unknown action ${action}"$'\n'"${usage}" ;;
esac

if (( wait_end )) && (( ${#started[@]} )); then wait "${started[@]}"; fi
