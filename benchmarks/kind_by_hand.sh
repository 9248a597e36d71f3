#!/usr/bin/env bash
# From nothing to the first passing ping on kind, one step after another, as one would type it.
# Usage: kind_by_hand.sh NAME FOLDER PLUGINS MULTUS-MANIFEST
# Prints the seconds from its start to the reply.
set -euo pipefail
name=$1 folder=$2 plugins=$3 multus=$4
began=$EPOCHREALTIME
export KUBECONFIG=$folder/kubeconfig
images=(ghcr.io/k8snetworkplumbingwg/multus-cni:v4.1.0-thick nicolaka/netshoot:latest)
nodes=("$name-control-plane" "$name-worker" "$name-worker2")

cat >"$folder/kind.yaml" <<'KIND'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}, {role: worker}]
KIND
kind create cluster --name "$name" --config "$folder/kind.yaml" --image kindest/node:v1.31.0 >&2
kubectl wait --for=condition=Ready nodes --all --timeout=120s >&2

for node in "${nodes[@]}"; do
	if [ -d "$plugins" ]; then
		docker cp -q "$plugins/." "$node:/opt/cni/bin/" >&2
	else
		docker exec -i "$node" tar -xz --no-same-owner -C /opt/cni/bin <"$plugins"
	fi
done

docker save -o "$folder/images.tar" "${images[@]}"
kind load image-archive --name "$name" "$folder/images.tar" >&2
rm "$folder/images.tar"

a=$(docker inspect -f '{{.State.Pid}}' "$name-worker")
b=$(docker inspect -f '{{.State.Pid}}' "$name-worker2")
nsenter -t "$a" -n ip link add eth1 type veth peer name eth1 netns "$b"
nsenter -t "$a" -n ip link set eth1 up
nsenter -t "$b" -n ip link set eth1 up

kubectl apply -f "$multus" >&2
kubectl -n kube-system rollout status ds/kube-multus-ds --timeout=180s >&2
for node in "${nodes[@]}"; do
	until docker exec "$node" test -f /etc/cni/net.d/00-multus.conf; do sleep 0.2; done
done

kubectl apply -f - >&2 <<PODS
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata: {name: lan}
spec:
  config: '{"cniVersion": "0.3.1", "name": "lan", "type": "macvlan", "master": "eth1",
    "capabilities": {"ips": true}, "ipam": {"type": "static"}}'
---
apiVersion: v1
kind: Pod
metadata:
  name: pod1
  annotations: {k8s.v1.cni.cncf.io/networks: '[{"name": "lan", "ips": ["10.1.1.101/24"]}]'}
spec:
  nodeName: $name-worker
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "nicolaka/netshoot:latest", imagePullPolicy: IfNotPresent, command: [sleep, infinity]}
---
apiVersion: v1
kind: Pod
metadata:
  name: pod2
  annotations: {k8s.v1.cni.cncf.io/networks: '[{"name": "lan", "ips": ["10.1.1.102/24"]}]'}
spec:
  nodeName: $name-worker2
  terminationGracePeriodSeconds: 0
  containers:
  - {name: main, image: "nicolaka/netshoot:latest", imagePullPolicy: IfNotPresent, command: [sleep, infinity]}
PODS
kubectl wait --for=condition=Ready pod/pod1 pod/pod2 --timeout=120s >&2
kubectl exec pod1 -- ping -c 1 -W 2 -I net1 10.1.1.102 >&2
awk "BEGIN { printf \"%.3f\\n\", $EPOCHREALTIME - $began }"
