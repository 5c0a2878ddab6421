#ifndef AUR_CORE_LOG_H
#define AUR_CORE_LOG_H

/* What a library has to say to the user. Libraries never print: lines go to the sink that main sets, and are dropped
 * where none is set (tests, ranks other than 0). */

enum aur_log_level { AUR_LOG_INFO, AUR_LOG_WARNING };

typedef void (*aur_log_sink)(enum aur_log_level level, const char *line);

/* Sets where lines go; NULL drops them. Not to be changed while other threads log. */
void aur_log_set_sink(aur_log_sink sink);

/* One line, without a line end. Never allocates. */
void aur_log(enum aur_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define aur_info(...) aur_log(AUR_LOG_INFO, __VA_ARGS__)
#define aur_warn(...) aur_log(AUR_LOG_WARNING, __VA_ARGS__)

#endif
