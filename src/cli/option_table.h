/* What the table of options tells (options.c) to those who read values for them. An option is its row. */
#ifndef PC_CLI_OPTION_TABLE_H
#define PC_CLI_OPTION_TABLE_H

#include "cli/options.h"

struct pc_cli_option_row {
    const char *word;  /* of the flag, and the key of a config file */
    char letter;       /* the short form of the flag, 0 for none */
    const char *value; /* name of its value; NULL: it is on or off */
    const char *text;
};

/* NULL: there are no more. */
const struct pc_cli_option_row *pc_cli_option_row(unsigned option);
/* It may be given several times. */
bool pc_cli_option_is_list(unsigned option);
/* Bits of the options that a config file and the environment may set. */
uint64_t pc_cli_options_settable(void);
/* The variable of an option: PEERCACHE_MAX_PEERS. */
#define PC_CLI_VARIABLE_BYTES 64
const char *pc_cli_option_variable(unsigned option, char ret_name[PC_CLI_VARIABLE_BYTES]);
/* Check a value and take it. EINVAL; the reason begins with "--WORD: ". */
int pc_cli_option_take(struct pc_cli_options *options, unsigned option, const char *value,
                       struct pc_reason *ret_reason);

#endif
