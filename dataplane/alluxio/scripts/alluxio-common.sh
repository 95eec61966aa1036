# Shared by the alluxio-*.sh scripts; sourced, not run.
# Processes are found by the pid files in the log folder, and by nothing else: a pid whose command
# line is not this role's is a stale file.

set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
if [[ -z "${ALLUXIO_BIN:-}" ]]; then
  if [[ -x "${here}/alluxio" ]]; then ALLUXIO_BIN="${here}/alluxio"
  elif [[ -n "${ALLUXIO_HOME:-}" && -x "${ALLUXIO_HOME}/bin/alluxio" ]]; then ALLUXIO_BIN="${ALLUXIO_HOME}/bin/alluxio"
  elif ALLUXIO_BIN="$(command -v alluxio)"; then :
  else
    echo "no alluxio binary beside this script, in \$ALLUXIO_HOME/bin or in \$PATH: set ALLUXIO_BIN" >&2
    exit 1
  fi
fi

# The script's folder on other hosts: the same path.
scripts_dir="${here}"

die() {
  echo "$*" >&2
  exit 1
}

# One property, as every role sees it.
conf() {
  "${ALLUXIO_BIN}" getConf "$1"
}

logs_dir() {
  local dir
  dir="$(conf alluxio.logs.dir)"
  mkdir -p "${dir}" || die "cannot create the log folder ${dir} (alluxio.logs.dir)"
  echo "${dir}"
}

pid_file() {
  echo "$(logs_dir)/$1.pid"
}

# Prints the pid of a running role; fails when there is none.
running_pid() {
  local file pid
  file="$(pid_file "$1")"
  [[ -r "${file}" ]] || return 1
  pid="$(cat "${file}")"
  [[ "${pid}" =~ ^[0-9]+$ && -r "/proc/${pid}/cmdline" ]] || return 1
  tr '\0' '\n' < "/proc/${pid}/cmdline" | grep -qx -- "$1" || return 1
  echo "${pid}"
}

# Lines of conf/masters or conf/workers, without comments.
hosts_of() {
  local file
  file="$(conf alluxio.conf.dir)/$1"
  [[ -r "${file}" ]] || die "cannot read ${file}: list one host a line"
  sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "${file}"
}

# Runs one of these scripts on every host of a list, in parallel; fails when one of them fails.
on_hosts() {
  local list="$1" script="$2" host pids=() failed=0
  shift 2
  for host in $(hosts_of "${list}"); do
    ssh -o ConnectTimeout=5 -o StrictHostKeyChecking=accept-new "${host}" \
      "'${scripts_dir}/${script}' $*" 2>&1 | sed "s/^/[${host}] /" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "${pid}" || failed=1; done
  return "${failed}"
}

# Whether a role answers on its web port that it is ready.
is_ready() {
  local host port status
  host="$(conf "alluxio.$1.web.bind.host")"
  port="$(conf "alluxio.$1.web.port")"
  [[ "${host}" == "0.0.0.0" || -z "${host}" ]] && host=127.0.0.1
  status="$(
    exec 3<>"/dev/tcp/${host}/${port}" || exit 1
    printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3
    head -n 1 <&3
  )" 2>/dev/null || return 1
  [[ "${status}" == *" 200 "* ]]
}

# The folders of tier 0, one a line, when it is a memory tier; nothing otherwise.
memory_tier_dirs() {
  [[ "$(conf alluxio.worker.tieredstore.level0.alias)" =~ ^(MEM)?$ ]] || return 0
  local dirs
  dirs="$(conf alluxio.worker.tieredstore.level0.dirs.path)"
  tr ',' '\n' <<< "${dirs:-/mnt/ramdisk}" | sed '/^$/d'
}
