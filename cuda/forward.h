#ifndef AUR_CUDA_FORWARD_H
#define AUR_CUDA_FORWARD_H

/* A function of a library's own name that passes its call to the library once that is open:
 *
 *   AUR_FORWARD(library, type, name, (parameters), (arguments), otherwise)
 *
 * `library` is the handle of dlopen, NULL until then; `otherwise` is returned without it. The library's own header
 * declares the function, so that the compiler compares the two.
 */

#include <dlfcn.h>
#include <stddef.h>

/* C has no conversion from an object's pointer to a function's; dlsym is specified to be read like this. */
#define AUR_FORWARD(library, type, name, parameters, arguments, otherwise)                                             \
	type name parameters                                                                                               \
	{                                                                                                                  \
		static __typeof__(&name) function;                                                                             \
		if (!function && library)                                                                                      \
			*(void **)&function = dlsym(library, #name);                                                               \
		return function ? function arguments : otherwise;                                                              \
	}

#endif
