# shellcheck shell=bash
# Several hosts on one machine, for the tests of this folder: each host is a network namespace with an address of its
# own on a bridge, and has its own name, processes, /run, /dev/shm and sshd. File systems are shared, as home folders
# of a cluster are. Everything lives in namespaces of one process: where it ends, however it ends, the kernel takes all
# of it away, and nothing is ever seen from outside.

network=10.77.0

# network_lacks: says in one line what is missing for enter_network, or fails where all is there.
network_lacks() {
	local tool
	((EUID == 0)) || { echo "not root, and network namespaces with sshd in them need it" && return; }
	for tool in ip sshd ssh ssh-keygen unshare nsenter setpriv; do
		command -v "$tool" >/dev/null || { echo "$tool is not installed" && return; }
	done
	unshare --mount --net --pid --uts --ipc --fork --mount-proc sh -c 'mount -t tmpfs none /run && mkdir /run/netns &&
		ip link add name switch type bridge && ip netns add probe && ip link add name port type veth peer name eth0 netns probe' \
		>network.log 2>&1 || { echo "no network namespaces here: $(tail -n 1 network.log)" && return; }
	return 1
}

# enter_network COMMAND...: runs it where open_network works. Ends with it, even by SIGKILL.
enter_network() {
	local inside code=0
	setpriv --pdeathsig KILL unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc "$@" &
	inside=$!
	# shellcheck disable=SC2064
	trap "kill -KILL $inside 2>/dev/null; exit 143" TERM INT HUP
	wait "$inside" || code=$?
	return "$code"
}

# open_network FOLDER HOSTS: a bridge, and names for hosts h1 to hHOSTS. The keys and settings of ssh lie in FOLDER.
open_network() {
	local i
	ssh_folder=$1
	mount -t tmpfs none /run && mkdir -p /run/netns "$ssh_folder" || return 1
	hostname login
	{
		printf '127.0.0.1 localhost\n%s.254 login\n' "$network"
		for ((i = 1; i <= $2; i++)); do echo "$network.$i h$i"; done
	} >"$ssh_folder/hosts"
	mount --bind "$ssh_folder/hosts" /etc/hosts || return 1
	ip link set lo up
	ip link add name switch type bridge && ip address add "$network.254/24" dev switch && ip link set switch up || return 1
	ssh-keygen -q -t ed25519 -N "" -C test -f "$ssh_folder/key" && cp "$ssh_folder/key.pub" "$ssh_folder/authorized" || return 1
	: >"$ssh_folder/known"
	cat >"$ssh_folder/config" <<-END
		Host *
		  User root
		  IdentityFile $ssh_folder/key
		  UserKnownHostsFile $ssh_folder/known
		  StrictHostKeyChecking yes
		  BatchMode yes
		  ConnectTimeout 10
	END
	# What a user has in ~/.ssh is nobody else's business: mpirun is told of this configuration instead.
	export OMPI_MCA_plm_rsh_agent="ssh -F $ssh_folder/config"
	# In each host's own /run: nothing of a killed host stays behind.
	export OMPI_MCA_orte_tmpdir_base=/run
}

# run_host NAME: what a host does while it is up; its first process, so that all others end with it.
run_host() {
	hostname "$1"
	mount -t tmpfs none /run && mount -t tmpfs none /dev/shm && mkdir /run/sshd || exit 1
	ip link set lo up
	"$(command -v sshd)" -D -e -f "$ssh_folder/$1.sshd" &
	wait
}

# start_host NUMBER: brings up h<NUMBER>, and waits until a command can be run there.
start_host() {
	local name=h$1 port=port$1
	if [[ ! -e $ssh_folder/$name.key ]]; then
		ssh-keygen -q -t ed25519 -N "" -C "$name" -f "$ssh_folder/$name.key" || return 1
		printf '%s,%s.%s %s\n' "$name" "$network" "$1" "$(<"$ssh_folder/$name.key.pub")" >>"$ssh_folder/known"
		printf '%s\n' "HostKey $ssh_folder/$name.key" "AuthorizedKeysFile $ssh_folder/authorized" "StrictModes no" \
			"PermitRootLogin yes" "UsePAM no" "PidFile none" "MaxStartups 100" >"$ssh_folder/$name.sshd"
	fi
	# The hardware address stays when a host comes back: its neighbours remember it for a while.
	ip netns add "$name" && ip link add name "$port" type veth peer name eth0 address "02:00:00:00:00:0$1" netns "$name" &&
		ip link set "$port" master switch up && ip -n "$name" address add "$network.$1/24" dev eth0 &&
		ip -n "$name" link set eth0 up || return 1
	export ssh_folder network
	export -f run_host
	# "ip netns exec" would put an empty /sys in place, and Slurm looks for control groups there.
	# shellcheck disable=SC2016
	nsenter --net="/run/netns/$name" unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
		bash -c 'run_host "$0"' "$name" >"$ssh_folder/$name.log" 2>&1 &
	host_process[$1]=$!
	for _ in {1..100}; do
		[[ $(ssh -F "$ssh_folder/config" "$name" hostname 2>>"$ssh_folder/$name.log") != "$name" ]] || return 0
		kill -0 "${host_process[$1]}" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

# on_host NUMBER COMMAND...: runs it there, in this folder and with this environment.
on_host() {
	local first
	first=$(<"/proc/${host_process[$1]}/task/${host_process[$1]}/children") || return 1
	nsenter --target "${first%% *}" --mount --net --uts --ipc --pid --wd="$PWD" "${@:2}"
}

# end_host NUMBER: all its processes are killed in one moment, and its kernel closes their connections.
end_host() {
	kill -KILL "${host_process[$1]}"
	wait "${host_process[$1]}" 2>/dev/null
	# The network stays until the last of them is gone, or nobody would hear of the closed connections.
	for _ in {1..100}; do
		[[ -n $(ip netns pids "h$1") ]] || break
		sleep 0.1
	done
	sleep 0.5
	ip link delete "port$1"
	ip netns delete "h$1"
}

# cut_host NUMBER: the cable is pulled. Nobody is told; packets are lost.
cut_host() {
	ip link set "port$1" down
}

# mend_host NUMBER: the cable is back.
mend_host() {
	ip link set "port$1" up
}
