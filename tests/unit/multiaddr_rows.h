/* Tables of multiaddrs in text and bytes, and what is asked of each of their rows. */
#ifndef TESTS_MULTIADDR_ROWS_H
#define TESTS_MULTIADDR_ROWS_H

#include <stddef.h>

/* Valid text, its canonical text when that differs, and its bytes when they are worth stating. */
struct valid_multiaddr {
    const char *text;
    const char *canonical;
    const char *hex;
};

struct invalid_multiaddr {
    const char *text;
    const char *reason;
};

/* Text and bytes go both ways, with room for exactly so much and with too little. */
void check_valid_multiaddrs(const struct valid_multiaddr *rows, size_t count);
void check_invalid_multiaddrs(const struct invalid_multiaddr *rows, size_t count);
/* Bytes in hexadecimal that are no address. */
void check_invalid_multiaddr_bytes(const char *const *rows, size_t count);
/* Valid addresses with a few characters or bytes changed: what is still valid has one canonical form. That
 * must be `least` of the rounds, or the test would test nothing. */
void check_mutated_multiaddrs(const struct valid_multiaddr *rows, size_t count, size_t rounds, size_t least);

#endif
