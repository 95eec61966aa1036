#!/usr/bin/env bash
# Mounts or unmounts the memory tier of a worker: a tmpfs, on huge pages where the kernel has them.
usage="Usage: alluxio-mount.sh Mount|SudoMount|Umount|SudoUmount [local|workers]
  Mount      mounts a tmpfs of alluxio.worker.ramdisk.size on each folder of tier 0, if that is MEM
  SudoMount  the same by sudo, and gives it to this user
  Umount, SudoUmount  take it away, with all blocks in it
  local      on this machine (default)
  workers    on every host in conf/workers"

case "${1:-}" in
  -h|--help) echo "${usage}"; exit 0 ;;
  Mount|SudoMount|Umount|SudoUmount) ;;
  *) echo "${usage}" >&2; exit 1 ;;
esac

source "$(dirname "${BASH_SOURCE[0]}")/alluxio-common.sh"

action="$1"
case "${2:-local}" in
  local) ;;
  workers) on_hosts workers alluxio-mount.sh "${action}" local; exit ;;
  *) die "${usage}" ;;
esac

sudo=()
[[ "${action}" == Sudo* ]] && sudo=(sudo)

is_mounted() {
  awk -v dir="$1" '$2 == dir { found = 1 } END { exit !found }' /proc/mounts
}

size="$(conf alluxio.worker.ramdisk.size)"
if [[ -z "${size}" ]]; then
  # As the worker does: two thirds of the machine's memory.
  size="$(awk '/^MemTotal:/ { printf "%dKB", $2 / 3 * 2 }' /proc/meminfo)"
fi
# mount(8) takes k, m and g.
size="$(sed -E 's/([0-9]+)[[:space:]]*([kKmMgG])[bB]?$/\1\2/; s/[bB]$//' <<< "${size}")"

for dir in $(memory_tier_dirs); do
  case "${action}" in
    *Umount)
      if is_mounted "${dir}"; then "${sudo[@]}" umount "${dir}" && echo "Unmounted ${dir}"
      else echo "${dir} is not mounted"; fi ;;
    *)
      if is_mounted "${dir}"; then echo "${dir} is mounted already"; continue; fi
      "${sudo[@]}" mkdir -p "${dir}"
      options="size=${size},mode=0755,uid=$(id -u),gid=$(id -g)"
      if "${sudo[@]}" mount -t tmpfs -o "${options},huge=always" alluxio-ramdisk "${dir}" 2>/dev/null; then
        echo "Mounted ${dir} (tmpfs on huge pages, ${size})"
      elif "${sudo[@]}" mount -t tmpfs -o "${options}" alluxio-ramdisk "${dir}"; then
        echo "Mounted ${dir} (tmpfs, ${size}); no huge pages here, reads run at about 0.4 of their speed"
      else
        die "cannot mount a tmpfs on ${dir}: run with SudoMount, as root, or set alluxio.worker.tieredstore.level0.dirs.path"
      fi ;;
  esac
done
