/* "Did you mean": the word that is nearest to one that is unknown. */
#ifndef PC_CLI_NEAR_H
#define PC_CLI_NEAR_H

#include <stddef.h>

#define PC_CLI_NEAR 2 /* at most this far is a near match */

/* The edit distance of two words, each cut at 32 letters. */
size_t pc_cli_distance(const char *a, const char *b);

#endif
