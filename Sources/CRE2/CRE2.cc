#include "cre2.h"

#include <new>
#include <re2/re2.h>
#include <string>

struct cre2_pattern {
    re2::RE2 expression;

    explicit cre2_pattern(re2::StringPiece text) : expression(text, re2::RE2::Quiet) {}
};

cre2_pattern *cre2_compile(const char *pattern, size_t length) {
    return new (std::nothrow) cre2_pattern(re2::StringPiece(pattern, length));
}

void cre2_free(cre2_pattern *pattern) { delete pattern; }

const char *cre2_error(const cre2_pattern *pattern) {
    return pattern->expression.ok() ? nullptr : pattern->expression.error().c_str();
}

int cre2_full_match(const cre2_pattern *pattern, const char *text, size_t length) {
    return pattern->expression.ok() && re2::RE2::FullMatch(re2::StringPiece(text, length), pattern->expression);
}

void cre2_global_replace(
    const cre2_pattern *pattern, const char *text, size_t length, const char *rewrite, size_t rewrite_length,
    void (*deliver)(const char *result, size_t length, void *context), void *context) {
    std::string result(text, length);
    if (pattern->expression.ok())
        re2::RE2::GlobalReplace(&result, pattern->expression, re2::StringPiece(rewrite, rewrite_length));
    deliver(result.data(), result.size(), context);
}
