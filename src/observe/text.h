/* A text that grows up to a bound. The first error sticks: what is put after it does nothing, and the caller checks once. */
#ifndef PC_OBSERVE_TEXT_H
#define PC_OBSERVE_TEXT_H

#include "base/bytes.h"

#define PC_OBSERVE_TEXT_MAX_BYTES (4 * 1024 * 1024) /* what our own fetcher takes of an endpoint */

/* All zero is an empty one. */
struct pc_observe_text {
    char *data; /* NUL-terminated; NULL as long as nothing was put */
    size_t size;
    size_t capacity;
    int error; /* 0, or the first: ELIMIT over the bound, ENOMEM */
};

void pc_observe_text_deinit(struct pc_observe_text *text);
/* Empty, and without an error; its memory stays. */
void pc_observe_text_clear(struct pc_observe_text *text);
void pc_observe_put_bytes(struct pc_observe_text *text, struct pc_bytes bytes);
void pc_observe_put(struct pc_observe_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A JSON string of any text, quotes and all; of one that is no UTF-8 every byte beyond ASCII becomes '?'. */
void pc_observe_put_json(struct pc_observe_text *text, const char *string);
/* Microseconds in a unit of so many, as a decimal number without an exponent: 1500 in 1000 is 1.500. */
void pc_observe_put_us(struct pc_observe_text *text, int64_t us, int64_t unit_us);

#endif
