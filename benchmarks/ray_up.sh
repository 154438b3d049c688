#!/usr/bin/env bash
# The cluster file of docs/scale_out.md by `ray up` on three machines that are namespaces of this one: an address, a
# process table, a /tmp, a home and an sshd each. As root, with openssh-server, iproute2 and rsync; removes all of it.
#
#     benchmarks/ray_up.sh ENVIRONMENT WHEEL     # one with artv[ray], ray[default] and pip; a wheel of artv; neither in /tmp
#
# Prints Ray's status, the job's output and what `ray down` leaves, each with seconds.
set -eu
bin=$(realpath "$1")/bin; wheel=$(realpath "$2"); here=$(realpath "$(dirname "$0")/..")
python=$(dirname "$(dirname "$(realpath "$bin/python")")")
own=$(getent passwd root | cut -d: -f6); work=$(mktemp -d -p /var/tmp ray-up-XXXX); machines="head worker1 worker2"; started=$SECONDS
said() { echo "[$((SECONDS - started)) s] $*"; }
# a machine outside the cluster sees no process of it
outside() { PATH=$bin:$PATH unshare --pid --fork --kill-child --mount-proc $sweep "$@" 2>&1 | grep -E "workers see|^run folder|artv-eval:" || true; }
remote() { ssh -q -i "$work/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "root@10.0.0.$1" "source ~/.bashrc; $2"; }
clean() {
  for name in $machines; do ip netns pids $name 2>/dev/null | xargs -r kill -KILL 2>/dev/null; ip netns del $name 2>/dev/null; done || true
  ip link del artv-bridge 2>/dev/null || true; rm -rf "$work" /tmp/ray/cluster-artv.*
}
trap clean EXIT

mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f "$work/key"; ssh-keygen -A > /dev/null
ip link add artv-bridge type bridge; ip addr add 10.0.0.254/24 dev artv-bridge; ip link set artv-bridge up
i=0
for name in $machines; do
  i=$((i + 1)); home=$work/$name
  ip netns add $name; ip link add artv$i type veth peer name eth0 netns $name; ip link set artv$i master artv-bridge up
  ip -n $name addr add 10.0.0.$i/24 dev eth0; ip -n $name link set eth0 up; ip -n $name link set lo up
  ip -n $name route add default via 10.0.0.254
  mkdir -p "$home/.ssh" "$home/python"; cp "$work/key.pub" "$home/.ssh/authorized_keys"; chmod -R go= "$home"
  echo "export PATH=$bin:\$PATH" > "$home/.bashrc"
  # the home hides what lies in root's own: the interpreter, if it is there, is put back
  ip netns exec $name setsid unshare --pid --fork --kill-child --mount-proc --mount --uts bash -c "
    hostname $name; mount --make-rprivate /; mount -t tmpfs tmpfs /tmp; mount --bind $python $home/python
    mount --rbind $home $own; mkdir -p $python; mount --bind $own/python $python
    exec /usr/sbin/sshd -D -o PidFile=none -o UsePAM=no -o PermitRootLogin=prohibit-password" > /dev/null 2>&1 &
  disown
done
sleep 2

sed -n '/^# cluster.yaml/,/^```/{/^```/!p}' "$here/docs/scale_out.md" | sed "s|ssh_user: me|ssh_user: root|; s|~/.ssh/id_ed25519|$work/key|
s|'pip install .*'|'pip install -q --no-index --no-deps $wheel'|" > "$work/cluster.yaml"
cp -r "$here/tests/artv_eval/toy" "$work/toy"
printf 'ablations: [noise]\nprotocol: toy@1\nnum_videos: 12\n' > "$work/study.yaml"
"$bin/ray" up -y --no-config-cache "$work/cluster.yaml" > "$work/up.txt" 2>&1 || tail -20 "$work/up.txt"
said "ray up has ended"
for _ in $(seq 30); do remote 1 "ray status 2>/dev/null" | grep -q "3 local.cluster.node" && break; sleep 2; done
remote 1 "ray status 2>/dev/null" | grep -E "local.cluster.node|CPU"
said "machines of the cluster"
sweep="artv-eval sweep $work/study.yaml --plugins-dir $work/toy --executor ray"
"$bin/ray" job submit --address http://10.0.0.1:8265 -- bash -lc \
  "source ~/.bashrc; $sweep --set executor.address=auto --out $work/runs/study" 2>&1 | grep -E "workers see|^run folder|succeeded|failed" || true
said "ray job submit"
for _ in 1 2 3; do  # Ray gives the process that answers 30 s to start, which a busy machine may miss
  outside --set executor.address=ray://10.0.0.1:10001 --out "$work/outside/study"
  [ -f "$work/outside/study/results.json" ] && break
done
said "from outside by ray://"
outside --set executor.address=10.0.0.1:6379 --out "$work/refused"
said "from outside by HOST:PORT"
cd "$work"; "$bin/python" - <<'P'
import json
rows = [json.load(open(f"{place}/study/results.json"))["rows"] for place in ("runs", "outside")]
print("both tables are the same:", rows[0] == rows[1], f"({len(rows[0])} rows)")
P
"$bin/ray" down -y "$work/cluster.yaml" > /dev/null 2>&1
said "ray down has ended"
for _ in $(seq 60); do [ "$(for k in 1 2 3; do remote $k 'pgrep -c raylet'; done | sort -u)" = 0 ] && break; sleep 2; done
said "no node is left"
