#ifndef AUR_IO_TOKENS_FORMAT_H
#define AUR_IO_TOKENS_FORMAT_H

/* What the writer and the reader of token datasets agree on. */

#define AUR_TOKENS_FORMAT "aurelius-tokens"
#define AUR_TOKENS_ADVICE "re-run prepare"

enum { AUR_TOKENS_VERSION = 1, AUR_TOKENS_BLOCK_BYTES = 1 << 20, AUR_TOKENS_SPLITS = 2 };

static const char *const aur_tokens_names[AUR_TOKENS_SPLITS] = {"/train/tokens", "/val/tokens"};
static const char *const aur_tokens_checksum_names[AUR_TOKENS_SPLITS] = {"/train/checksums", "/val/checksums"};

#endif
