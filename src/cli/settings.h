/*
 * Settings: the values given for options, each with where it came from. Of one option the highest layer that gives it holds:
 * flags over environment over file over default. What an option is and means is in options.c; here it is a number.
 */
#ifndef PC_CLI_SETTINGS_H
#define PC_CLI_SETTINGS_H

#include "base/bytes.h"

#define PC_CLI_SETTING_OPTIONS_MAX 64 /* the numbers of options are below */

enum pc_cli_layer {
    PC_CLI_DEFAULT,
    PC_CLI_FILE,
    PC_CLI_ENVIRONMENT,
    PC_CLI_FLAG,
};

struct pc_cli_setting {
    unsigned option;
    enum pc_cli_layer layer;
    unsigned line;     /* of FILE */
    const char *name;  /* as it was given: the word of a flag, of a key, or the variable */
    const char *value; /* owned by the settings; "yes" or "no" for what is on or off */
    bool holds;        /* no higher layer gives it, and no other setting excludes it */
};

struct pc_cli_settings {
    const char *file;           /* borrowed: the path of FILE; NULL: none is read */
    struct pc_cli_setting *all; /* in the order in which they were given */
    size_t count;
    size_t room;
    struct pc_cli_setting_text *texts;
};

/* In the caller's storage, zero at first. */
void pc_cli_settings_deinit(struct pc_cli_settings *settings);
/* `name` and `value` are copied. It holds, until `settle`. ENOMEM, with the reason. */
int pc_cli_settings_add(struct pc_cli_settings *settings, unsigned option, enum pc_cli_layer layer,
                        unsigned line, const char *name, struct pc_bytes value, struct pc_reason *ret_reason);
/* Only the settings of the highest layer of each option hold. `same` tells which options are one (its first name). */
void pc_cli_settings_settle(struct pc_cli_settings *settings, unsigned (*same)(unsigned option));
/* The last setting of an option that holds; NULL: there is none. */
const struct pc_cli_setting *pc_cli_settings_find(const struct pc_cli_settings *settings, unsigned option);
/* None of this option holds. */
void pc_cli_settings_drop(struct pc_cli_settings *settings, unsigned option);

/* How an error names it: "--max-peers", "PEERCACHE_MAX_PEERS", "FILE: line 3: max-peers"; a default as a flag. */
#define PC_CLI_WHERE_BYTES 160
const char *pc_cli_setting_where(const struct pc_cli_settings *settings, const struct pc_cli_setting *setting,
                                 char ret_where[PC_CLI_WHERE_BYTES]);

#endif
