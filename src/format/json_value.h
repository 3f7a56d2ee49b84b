/* Reading one JSON value that is in memory whole: see json_value.c. */
#ifndef PC_FORMAT_JSON_VALUE_H
#define PC_FORMAT_JSON_VALUE_H

#include "base/bytes.h"

/* A walk over a value. The bytes are ours to write to: strings are decoded where they stand. */
struct pc_value {
    uint8_t *data;
    size_t size, at;
};

/* The whole of it, RFC 8259: grammar, UTF-8, escapes; strings may not hold NUL. EPARSE with reason, which
 * gives the byte within. Nothing below may be called on what was not checked. */
int pc_format_value_check(const uint8_t *data, size_t size, struct pc_reason *ret_reason);
/* At the beginning. */
struct pc_value pc_format_value_of(uint8_t *data, size_t size);

/* What comes next: '{', '[', '"', '0' a number, 't', 'f', 'n'; 0 at the end. */
uint8_t pc_format_value_kind(struct pc_value *value);
void pc_format_value_skip(struct pc_value *value);
/* Of kind '"': valid as long as the bytes are. Not to be read twice. */
struct pc_bytes pc_format_value_string(struct pc_value *value);
/* Of kind '0': over the range of 64 bits, its end. False: it has a fraction or an exponent. */
bool pc_format_value_integer(struct pc_value *value, int64_t *ret_number);
/* Of kind '{' or '[': step in; then next says whether there is one more, which is to be read or skipped
 * before the next; of an object its name first. */
void pc_format_value_enter(struct pc_value *value);
bool pc_format_value_next(struct pc_value *value);
struct pc_bytes pc_format_value_name(struct pc_value *value);
/* Any kind. A text of RFC 3339 or {"secs_since_epoch","nanos_since_epoch"}; before 1970 is 0. EPARSE:
 * anything else. */
int pc_format_value_time(struct pc_value *value, int64_t *ret_wall_ms);

/* Valid UTF-8 (RFC 3629). */
bool pc_format_is_utf8(struct pc_bytes text);

#endif
