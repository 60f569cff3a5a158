#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A compiled expression, or the reason why there is none.
typedef struct cre2_pattern cre2_pattern;

/// Compiles `pattern` as Envoy does: Perl-like syntax, UTF-8, linear time. Never NULL but for want of memory.
cre2_pattern *cre2_compile(const char *pattern, size_t length);
void cre2_free(cre2_pattern *pattern);

/// What is wrong with the expression; NULL when it is valid.
const char *cre2_error(const cre2_pattern *pattern);

/// 1 when the expression matches the whole of `text`. Safe to call from several threads at once.
int cre2_full_match(const cre2_pattern *pattern, const char *text, size_t length);

/// Replaces every match in `text` by `rewrite` (`\1` stands for the first group) and hands the result to `deliver`.
void cre2_global_replace(
    const cre2_pattern *pattern, const char *text, size_t length, const char *rewrite, size_t rewrite_length,
    void (*deliver)(const char *result, size_t length, void *context), void *context);

#ifdef __cplusplus
}
#endif
