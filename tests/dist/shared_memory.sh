# Cases of dist.sh about the memory that ranks of one machine share.

# Where memory belongs to several sockets, ranks do not share it.
needs_one_memory() {
	if grep -qs '[-,]' /sys/devices/system/node/online; then
		skip "this machine's memory belongs to several nodes, and ranks share none"
	fi
}

# Ranks of one machine read each other's gradients where they lie and have one copy of the weights; over MPI everything is
# copied. Both are said.
shared_memory_gives_the_bits_of_mpi() {
	local n
	needs_one_memory
	for n in 2 4; do
		train $n shared$n || fail "$n ranks"
		AURELIUS_EXCHANGE=mpi train $n mpi$n || fail "$n ranks over MPI"
		grep -q "the $n ranks share memory" shared$n.log || fail "nothing says that $n ranks share memory"
		grep -q "share memory" mpi$n.log && fail "AURELIUS_EXCHANGE=mpi shares memory"
		same_run shared$n mpi$n
	done
	same_run shared2 shared4
	mpirun -np 2 --bind-to none "$aurelius" doctor >doctor.log 2>&1 || fail "doctor"
	grep -q "MPI between 2 ranks; on a CPU gradients and weights lie in memory that they share" doctor.log || fail "doctor does not say it"
}

# As in a container of its own, from which rank 0's memory is not to be found.
shared_memory_that_a_rank_lacks_is_not_used() {
	needs_one_memory
	LD_PRELOAD=$AURELIUS_FAULTS AURELIUS_FAULT=open:/fd/ AURELIUS_FAULT_RANK=1 train 4 lacking || fail "one rank lacks it"
	grep -q "cannot share memory: gradients and weights travel over MPI" lacking.log || fail "nothing is said of it"
	grep -q "ranks share memory" lacking.log && fail "it is used all the same"
	train 4 shared || fail "all have it"
	same_run lacking shared
}

# The memory that ranks of RUN share, by its numbers. Cases beside this one have such memory too.
shared_inodes() {
	local pid
	for pid in $(pids_of "$1"); do
		awk '/memfd:aurelius/ { print $5 }' "/proc/$pid/maps" 2>/dev/null
	done | sort -u
}

# maps_of INODE: how many processes map that memory.
maps_of() {
	cat /proc/[0-9]*/maps 2>/dev/null | awk -v inode="$1" '/memfd:aurelius/ && $5 == inode { n++ } END { print n + 0 }'
}

# It has no name, so nothing is left of it when nobody is there to clean up.
shared_memory_ends_with_its_ranks() {
	local inode start
	needs_one_memory
	long_run 2 run
	inode=$(shared_inodes run)
	[ "$(maps_of "$inode")" = 2 ] || fail "no memory is shared: of '$inode' there are $(maps_of "$inode") maps"
	start=$(date +%s)
	pkill -KILL -f "^mpirun .* $aurelius train --config $config --run run" || fail "no mpirun to end"
	wait $launched && fail "it should have failed"
	while [ -n "$(pids_of run)" ] && [ $(($(date +%s) - start)) -le 60 ]; do sleep 0.1; done
	ended_within 10 "$start"
	[ "$(maps_of "$inode")" = 0 ] || fail "its memory is still there"
}
