#include "comm/nccl.h"

#include <stdio.h>

/* Linked with the real library, which has to have every function that is called, and to load where there is no GPU. */
int main(void)
{
	const int version = aur_comm_nccl_factory.version();
	printf("NCCL %d\n", version);
	return version < 21900;
}
