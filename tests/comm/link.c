#include "comm/nccl.h"

#include <stdio.h>

/* Every function of NCCL that is called has to be in the real library, which has to load where there is no GPU. */
int main(void)
{
	const int version = aur_comm_nccl_factory.version();
	printf("NCCL %d\n", version);
	return version < 21900;
}
