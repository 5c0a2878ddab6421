#include "source.h"

aur_status aur_source_next(struct aur_source *source, struct aur_text *slice)
{
	*slice = (struct aur_text){0};
	for (;;) {
		if (source->begun > 0)
			AUR_TRY(aur_slices_next(&source->slices, slice));
		if (slice->size > 0 || source->begun == source->n)
			return AUR_OK;
		aur_slices_begin(&source->slices, source->vocab, source->texts[source->begun++]);
	}
}
