#include "product.cuh"

#include <stdlib.h>
#include <string.h>

/* Only these classes count: kernels load 16 bytes at a time, and the tensors of a plan of memory begin at 256. Finer
 * ones would give equal shapes of two layers two choices. */
static int32_t alignment_of(const void *pointer)
{
	const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
	const int32_t classes[] = {256, 16, 8, 4, 2};
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (address % (uintptr_t)classes[i] == 0)
			return classes[i];
	return 1;
}

static struct aur_product_key key_of(const struct aur_cuda *cuda, const struct aur_cuda_product *product)
{
	struct aur_product_key key;
	memset(&key, 0, sizeof key);
	key.m = product->m;
	key.n = product->n;
	key.k = product->k;
	key.lda = product->lda;
	key.ldb = product->ldb;
	key.ldc = product->ldc;
	key.transpose_a = product->transpose_a != 0;
	key.transpose_b = product->transpose_b != 0;
	key.type = product->type;
	key.c_type = product->c_type;
	key.accumulate = product->accumulate != 0;
	key.bias = product->bias ? alignment_of(product->bias) : 0;
	key.tf32 = product->type == AUR_F32 && cuda->base.tf32;
	key.align_a = alignment_of(product->a);
	key.align_b = alignment_of(product->b);
	key.align_c = alignment_of(product->c);
	return key;
}

/* FNV-1a */
static uint32_t hash_of(const struct aur_product_key *key)
{
	const unsigned char *bytes = reinterpret_cast<const unsigned char *>(key);
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < sizeof *key; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return hash;
}

struct aur_product_plan *aur_product_place(struct aur_cuda_products *products, const struct aur_product_key *key)
{
	const uint32_t hash = hash_of(key);
	for (uint32_t i = 0; i < AUR_PRODUCT_PLANS; i++) {
		struct aur_product_plan *plan = &products->plans[(hash + i) % AUR_PRODUCT_PLANS];
		if (!plan->used || memcmp(&plan->key, key, sizeof *key) == 0)
			return plan;
	}
	aur_product_forget(&products->spare);
	return &products->spare;
}

static aur_status plan_of(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product,
	const struct aur_product_plan **found)
{
	const struct aur_product_key key = key_of(cuda, product);
	struct aur_product_plan *plan = aur_product_place(cuda->products, &key);
	if (!plan->used) {
		plan->key = key;
		const aur_status status = aur_product_choose(cuda, who, plan, product);
		if (status != AUR_OK) {
			aur_product_forget(plan);
			return status;
		}
		plan->used = 1;
		cuda->products->count += plan != &cuda->products->spare;
	}
	*found = plan;
	return AUR_OK;
}

aur_status aur_product_run(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const cublasLtMatmulAlgo_t *algorithm, const struct aur_product_operands *operands, int *refused)
{
	const float alpha = 1.0f;
	const float beta = plan->key.accumulate ? 1.0f : 0.0f;
	AUR_TRY(aur_product_point_at_bias(who, plan, operands->bias));
	const cublasStatus_t answer = cublasLtMatmul(cuda->cublas, plan->description, &alpha, operands->b, plan->a,
		operands->a, plan->b, &beta, operands->c, plan->c, operands->d, plan->c, algorithm, cuda->cublas_workspace,
		AUR_CUBLAS_WORKSPACE, cuda->stream);
	if (refused)
		*refused = aur_product_is_refusal(answer);
	return refused && *refused ? AUR_OK : aur_cublas_check(answer, who);
}

static aur_status check_product(const char *who, const struct aur_cuda_product *product)
{
	const int types = (product->type == AUR_F32 && product->c_type == AUR_F32) ||
					  (product->type == AUR_BF16 && (product->c_type == AUR_F32 || product->c_type == AUR_BF16));
	if (!types || (product->accumulate && (product->c_type != AUR_F32 || product->bias)))
		return aur_fail(AUR_INTERNAL, "%s: no product of %s to %s", who, aur_dtype_name(product->type),
			aur_dtype_name(product->c_type));
	return AUR_OK;
}

aur_status aur_cuda_multiply(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product)
{
	AUR_TRY(check_product(who, product));
	if (product->m == 0 || product->n == 0)
		return AUR_OK;
	const struct aur_product_plan *plan = NULL;
	AUR_TRY(plan_of(cuda, who, product, &plan));
	if (plan->form == AUR_PRODUCT_OWN)
		return aur_product_multiply_own(cuda, who, product);
	const struct aur_product_operands operands = {product->a, product->b, product->c, product->c, product->bias};
	return aur_product_run(cuda, who, plan, &plan->algorithm, &operands, NULL);
}

aur_status aur_cuda_products_create(struct aur_cuda *cuda)
{
	struct aur_cuda_products *products = static_cast<struct aur_cuda_products *>(calloc(1, sizeof *products));
	if (!products)
		return aur_fail(AUR_MEMORY, "no memory for the table of products");
	cuda->products = products;
	return AUR_OK;
}

void aur_cuda_products_destroy(struct aur_cuda *cuda)
{
	if (!cuda->products)
		return;
	for (int i = 0; i < AUR_PRODUCT_PLANS; i++)
		aur_product_forget(&cuda->products->plans[i]);
	aur_product_forget(&cuda->products->spare);
	free(cuda->products);
	cuda->products = NULL;
}
