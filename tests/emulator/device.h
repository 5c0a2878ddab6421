#ifndef AUR_EMULATOR_DEVICE_H
#define AUR_EMULATOR_DEVICE_H

/* The device side of CUDA for kernels that g++ compiles: included by cuda/launch.cuh in place of what nvcc has built
 * in. Words are CUDA's own, so that a kernel is the same source for both. warp.h holds the operations of a warp,
 * intrinsics.h those on numbers and integer atomics; float atomics are missing on purpose, since no kernel may use
 * them.
 */

#include "emulator/intrinsics.h"
#include "emulator/runtime.h"
#include "emulator/warp.h"

#include <limits.h>
#include <tuple>
#include <type_traits>

/* The runtime sets them whenever another thread's turn comes. */
extern uint3 threadIdx;
extern uint3 blockIdx;
extern dim3 blockDim;
extern dim3 gridDim;
constexpr int warpSize = AUR_WARP;

#define AUR_KERNEL(threads) void
#define AUR_ON_DEVICE inline
#define AUR_SHARED(type, name, count)                                                                                  \
	static const char aur_key_of_##name = 0;                                                                           \
	type(&name)[count] =                                                                                               \
		*reinterpret_cast<type(*)[count]>(aur_emulator_shared(&aur_key_of_##name, sizeof(type) * (count), #name))
#define AUR_SHARED_DYNAMIC(type, name) type *const name = static_cast<type *>(aur_emulator_shared_dynamic())
#define AUR_LAUNCH(who, kernel, grid, block, shared_bytes, stream, ...)                                                \
	(aur_emulator_launch_kernel(#kernel, aur_emulator_extent(grid), aur_emulator_extent(block),                        \
		 static_cast<size_t>(shared_bytes), stream, kernel, ##__VA_ARGS__),                                            \
		aur_cuda_check(cudaGetLastError(), who))

static inline int __syncthreads_count(int predicate, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
	return aur_emulator_barrier(AUR_BARRIER_COUNT, predicate, {file, line});
}

static inline int __syncthreads_or(int predicate, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
	return aur_emulator_barrier(AUR_BARRIER_OR, predicate, {file, line}) > 0;
}

static inline int __syncthreads_and(int predicate, const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
	return aur_emulator_barrier(AUR_BARRIER_AND, predicate == 0, {file, line}) == 0;
}

static inline void __syncthreads(const char *file = __builtin_FILE(), int line = __builtin_LINE())
{
	aur_emulator_barrier(AUR_BARRIER_PLAIN, 0, {file, line});
}

/* A size of a grid that does not fit CUDA's unsigned numbers must fail, not wrap round: 0 is refused by the launch. */
template <typename T> dim3 aur_emulator_extent(T extent)
{
	if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
		const long long wide = static_cast<long long>(extent);
		return dim3(wide > 0 && wide <= UINT_MAX ? static_cast<unsigned>(wide) : 0);
	} else {
		return extent;
	}
}

template <typename First, typename... Rest> const void *aur_emulator_first(First first, Rest...)
{
	if constexpr (std::is_pointer_v<First>)
		return first;
	else
		return nullptr;
}

inline const void *aur_emulator_first(void)
{
	return nullptr;
}

/* The arguments are evaluated and converted once, as by a launch, and copied for each thread. */
template <typename... P>
void aur_emulator_launch_kernel(const char *name, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
	void (*kernel)(P...), std::common_type_t<P>... arguments)
{
	struct call {
		void (*kernel)(P...);
		std::tuple<P...> arguments;
	};
	const call bound = {kernel, std::tuple<P...>(arguments...)};
	struct aur_emulator_launch launch;
	launch.name = name;
	launch.function = reinterpret_cast<const void *>(kernel);
	launch.run = [](const void *memory) {
		const call *of = static_cast<const call *>(memory);
		std::apply(of->kernel, of->arguments);
	};
	launch.arguments = &bound;
	launch.arguments_bytes = sizeof bound;
	launch.first = aur_emulator_first(arguments...);
	launch.grid = grid;
	launch.block = block;
	launch.shared_bytes = shared_bytes;
	launch.stream = stream;
	aur_emulator_run(&launch);
}

/* nvcc's forms of the runtime's calls that take a kernel by its type. */
template <typename... P> cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), enum cudaFuncAttribute name, int value)
{
	return cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), name, value);
}

template <typename... P> cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, void (*kernel)(P...))
{
	return cudaFuncGetAttributes(attributes, reinterpret_cast<const void *>(kernel));
}

#endif
