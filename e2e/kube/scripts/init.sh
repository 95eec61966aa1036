# The first process of a cluster, in namespaces of its own: makes the network of the control plane.
set -eu
# Names of network namespaces are files below /run: here nobody else sees them.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns
ip link set lo up
ip link add br0 type bridge
ip addr add "$ADDRESS/24" dev br0
ip link set br0 up
echo 1 >/proc/sys/net/ipv4/ip_forward
# From the machine's loopback into the cluster: two programs with a socket between them, each in one network.
socat UNIX-LISTEN:"$STATE/api.sock",fork,mode=600 TCP:127.0.0.1:6443 3<&- 2>>"$STATE/log/gate-inner.log" &
nsenter --net=/proc/self/fd/3 -- socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork UNIX-CONNECT:"$STATE/api.sock" \
    2>"$STATE/log/gate.log" &
exec 3<&-
touch "$STATE/network.ready"
exec "$PAUSE"
