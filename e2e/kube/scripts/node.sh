# The first process of one node, in namespaces of its own: makes the machine that kubelet expects, and
# starts containerd. Called with STATE, NODE, ADDRESS, DNS, CGROUP, FOLDERS and PAUSE set.
set -eu
HERE=$STATE/$NODE
mount --make-rshared /
hostname "$NODE"
# Folders that are the node's own, empty at first.
for folder in $FOLDERS; do
    mkdir -p "$folder" "$HERE/root$folder"
    mount --bind "$HERE/root$folder" "$folder"
    mount --make-shared "$folder"
done
mount -t tmpfs -o mode=755 tmpfs /run
mount --make-shared /run
mkdir -p /run/lock /run/netns /run/containerd
mkdir -p /etc/cni/net.d
cp "$HERE/network.conflist" /etc/cni/net.d/10-bridge.conflist
mount --bind "$HERE/hosts" /etc/hosts

# kubelet sets these for the whole machine, and ends where it may not. It finds the values it wants in
# files that lie over them in this node, and so leaves the machine alone.
hide() {
    file=$HERE/$(echo "$1" | tr / -)
    echo "$2" >"$file"
    mount --bind "$file" "/proc/sys/$1"
}
hide vm/overcommit_memory 1
hide vm/panic_on_oom 0
hide kernel/panic 10
hide kernel/panic_on_oops 1
hide kernel/keys/root_maxkeys 1000000
hide kernel/keys/root_maxbytes 25000000
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet

# Groups of pods that ended with this node when it was killed: a machine that starts has none, and the kubelet asks
# containerd for the container of each, for seconds.
for group in "/sys/fs/cgroup/$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
    [ -d "$group" ] && find "$group" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || true
done

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    # One hierarchy: each level hands its controllers down.
    group=/sys/fs/cgroup
    for part in $(echo "$CGROUP" | tr / ' '); do
        for controller in cpu cpuset memory pids io; do
            echo "+$controller" >"$group/cgroup.subtree_control" 2>/dev/null || true
        done
        group=$group/$part
        mkdir -p "$group"
    done
else
    # One hierarchy for each controller: the group has to be in all of them.
    for hierarchy in /sys/fs/cgroup/*/; do
        [ -e "$hierarchy/cgroup.procs" ] || continue
        [ "${hierarchy%/}" = /sys/fs/cgroup/unified ] || mkdir -p "$hierarchy$CGROUP"
    done
    group=/sys/fs/cgroup/cpuset
    for part in $(echo "$CGROUP" | tr / ' '); do
        above=$group
        group=$group/$part
        [ -e "$group/cpuset.cpus" ] || continue
        cat "$above/cpuset.cpus" >"$group/cpuset.cpus"
        cat "$above/cpuset.mems" >"$group/cpuset.mems"
    done
fi

containerd --config "$HERE/containerd.toml" >>"$STATE/log/$NODE-containerd.log" 2>&1 &
exec "$PAUSE"
