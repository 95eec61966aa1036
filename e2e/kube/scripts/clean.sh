# Removes what a cluster leaves behind once its processes are gone: control groups, and its folder.
# Called with STATE and CGROUP set. Groups are busy until the kernel has ended the last process.
for attempt in $(seq 100); do
    left=0
    for group in "/sys/fs/cgroup/$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
        [ -d "$group" ] || continue
        find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
        [ -d "$group" ] && left=1
    done
    [ $left = 0 ] && break
    sleep 0.1
done
cd /
rm -rf "$STATE"
