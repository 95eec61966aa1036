# Starts a cluster's first process, in namespaces of its own; everything of the cluster lives within
# them and ends with it. Called by the crate with STATE, CGROUP, ADDRESS, PAUSE and WATCHED set.
set -eu
# The machine's network, for the one listener that leads into the cluster.
exec 3</proc/self/ns/net
set -- unshare --net --pid --mount --propagation private --fork --kill-child --mount-proc -- \
    sh "$STATE/init.sh"
if [ "$WATCHED" = 0 ]; then
    echo $$ >"$STATE/launcher.pid"
    exec "$@"
fi
# The cluster of a test ends with it, however that ends: our standard input then ends, too.
"$@" </dev/null &
first=$!
echo "$first" >"$STATE/launcher.pid"
cat >/dev/null
kill -9 "$first" 2>/dev/null || true
wait
exec sh "$STATE/clean.sh"
