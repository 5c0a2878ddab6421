# Runs one small case and checks what it prints: cmake -DBENCH=PROGRAM -P smoke.cmake
function(measure result)
	execute_process(COMMAND "${BENCH}" --json --seconds 0 --no-ceilings ${ARGN}
		OUTPUT_VARIABLE printed ERROR_VARIABLE said RESULT_VARIABLE code)
	if(NOT code EQUAL 0)
		message(FATAL_ERROR "${ARGN}: exit code ${code}: ${said}")
	endif()
	set(${result} "${printed}" PARENT_SCOPE)
endfunction()

# A number that JSON holds under these keys must be more than 0.
function(check_positive json)
	string(JSON number GET "${json}" ${ARGN})
	if(NOT number GREATER 0)
		message(FATAL_ERROR "${ARGN} is ${number}, not more than 0")
	endif()
endfunction()

measure(report --shape-set shakespeare-char-cpu --op activation_forward --case relu)
string(JSON n_cases LENGTH "${report}" cases)
if(NOT n_cases EQUAL 1)
	message(FATAL_ERROR "${n_cases} cases were measured where one was asked for")
endif()
foreach(key ms best_ms bytes gb_per_s copy_gb_per_s of_copy samples)
	check_positive("${report}" cases 0 ${key})
endforeach()
check_positive("${report}" machine cores)
check_positive("${report}" copy_gb_per_s)

# Products: FLOPs of the mathematics, and the libraries' time where one is linked.
measure(report --shape-set shakespeare-char-cpu --op linear_forward --case attn.proj\ 768)
string(JSON flops GET "${report}" cases 0 flops)
if(NOT flops EQUAL 25165824)
	message(FATAL_ERROR "768 x 128 x 128 has 25165824 FLOPs, not ${flops}")
endif()
check_positive("${report}" cases 0 gflop_per_s)

execute_process(COMMAND "${BENCH}" --op no_such_operation RESULT_VARIABLE code ERROR_VARIABLE said OUTPUT_QUIET)
if(NOT code EQUAL 2 OR NOT said MATCHES "no such case")
	message(FATAL_ERROR "an unknown operation ends with ${code}: ${said}")
endif()

# A wrong call is named by what is wrong with it.
function(check_refused words)
	execute_process(COMMAND "${BENCH}" ${ARGN} RESULT_VARIABLE code ERROR_VARIABLE said OUTPUT_QUIET)
	if(NOT code EQUAL 2 OR NOT said MATCHES "${words}")
		message(FATAL_ERROR "${ARGN} ends with ${code}: ${said}")
	endif()
endfunction()

check_refused("--repeats 2.7: must be a whole number" --repeats 2.7)
check_refused("x: unexpected" x --no-such-option)
check_refused("--no-such-option: unknown option" --no-such-option)
