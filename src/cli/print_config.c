/*
 * Text: a config file (config.h) that gives the same again, the origin of each value as a comment. JSON: one object,
 *
 *   {"config":FILE|null,"options":[{"name","value","origin":"flag"|"environment"|"file"|"default",["variable"],["line"]}…]}
 *
 * with an entry for each value of a list, and one without a value (null) for what is not given and has no default.
 */
#include "cli/print_config.h"

#include "cli/config.h"
#include "cli/option_table.h"
#include "cli/value.h"
#include "driver/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One value, or none, and its origin. */
struct printed {
    const struct pc_cli_option_row *row;
    const char *value; /* NULL: none */
    enum pc_cli_layer layer;
    const char *name; /* of ENVIRONMENT */
    unsigned line;    /* of FILE */
};

struct printing {
    const struct pc_cli_session *session;
    json_t *list; /* NULL: text */
    bool failed;
};

static const char *origin_text(const struct printing *printing, const struct printed *p,
                               char ret_text[PC_CLI_TEXT_BYTES])
{
    char clean[PC_CLI_TEXT_BYTES];
    switch (p->layer) {
    case PC_CLI_DEFAULT:
        return "default";
    case PC_CLI_FLAG:
        return "flag";
    case PC_CLI_ENVIRONMENT:
        (void)snprintf(ret_text, PC_CLI_TEXT_BYTES, "environment %s", p->name);
        return ret_text;
    case PC_CLI_FILE:
        break;
    }
    (void)snprintf(ret_text, PC_CLI_TEXT_BYTES, "%.128s:%u",
                   pc_cli_clean(printing->session->options->settings.file, clean), p->line);
    return ret_text;
}

/* A value that would be read as another one: white space at an end, a comment within, or a line that is too long. */
static bool can_be_written(const struct printed *p)
{
    size_t size = strlen(p->value);
    if (size == 0 || strlen(p->row->word) + 3 + size > PC_CLI_CONFIG_LINE_BYTES ||
        strchr(" \t", p->value[0]) || strchr(" \t", p->value[size - 1]) || p->value[0] == ';')
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)p->value[i] < ' ' || (p->value[i] == ' ' && p->value[i + 1] == ';'))
            return false;
    return true;
}

static void print_text(const struct printing *printing, const struct printed *p)
{
    char origin[PC_CLI_TEXT_BYTES], clean[PC_CLI_TEXT_BYTES];
    const char *from = origin_text(printing, p, origin);
    if (!p->value)
        printf("# %s =\n", p->row->word);
    else if (!can_be_written(p))
        printf("# %s, %s: no line of a file can hold its value: %.64s\n", p->row->word, from,
               pc_cli_clean(p->value, clean));
    else if (strlen(p->row->word) + strlen(p->value) + strlen(from) + 7 > PC_CLI_CONFIG_LINE_BYTES)
        printf("# %s\n%s = %s\n", from, p->row->word, p->value);
    else
        printf("%s = %s  ; %s\n", p->row->word, p->value, from);
}

static json_t *value_json(const struct printed *p)
{
    bool truth = false;
    if (!p->value)
        return json_null();
    if (!p->row->value && pc_cli_truth_parse(p->row->word, p->value, &truth, NULL) == 0)
        return json_boolean(truth);
    if (p->row->value && strcmp(p->row->value, "N") == 0)
        return json_integer((json_int_t)strtoul(p->value, NULL, 10));
    return pc_cli_json_text(p->value);
}

static void print_json(struct printing *printing, const struct printed *p)
{
    static const char *const words[] = { "default", "file", "environment", "flag" };
    json_t *entry =
        json_pack("{s:s,s:o,s:s}", "name", p->row->word, "value", value_json(p), "origin", words[p->layer]);
    bool made = entry != NULL;
    if (made && p->layer == PC_CLI_ENVIRONMENT)
        made = json_object_set_new(entry, "variable", json_string(p->name)) == 0;
    if (made && p->layer == PC_CLI_FILE)
        made = json_object_set_new(entry, "line", json_integer(p->line)) == 0;
    if (!made) {
        json_decref(entry);
        printing->failed = true;
    } else if (json_array_append_new(printing->list, entry) != 0) {
        printing->failed = true;
    }
}

static void print_one(struct printing *printing, const struct printed *p)
{
    if (printing->list)
        print_json(printing, p);
    else
        print_text(printing, p);
}

/* The peers of PEERCACHE_PEERS, which come beside those that were given elsewhere. How many. */
static size_t print_env_peers(struct printing *printing, const struct pc_cli_option_row *row)
{
    const peercache_node_options *n = printing->session->node_options;
    size_t count = 0;
    for (size_t i = 0; i < n->source_count; i++)
        if (n->sources[i].via == PEERCACHE_VIA_ENV) {
            print_one(printing,
                      &(struct printed){ row, n->sources[i].text, PC_CLI_ENVIRONMENT, PC_CLI_ENV_PEERS, 0 });
            count++;
        }
    return count;
}

/* What holds where nothing was given: as for what is on or off that it is off, and for the cache its default path. */
static void print_absent(struct printing *printing, const struct pc_cli_option_row *row, const char *cache)
{
    const char *value = !row->value ? "no" : strcmp(row->word, "cache") == 0 && *cache ? cache : NULL;
    print_one(printing, &(struct printed){ row, value, PC_CLI_DEFAULT, NULL, 0 });
}

static void print_option(struct printing *printing, unsigned option)
{
    const struct pc_cli_settings *settings = &printing->session->options->settings;
    const struct pc_cli_option_row *row = pc_cli_option_row(option);
    const struct pc_cli_setting *last = pc_cli_settings_find(settings, option);
    size_t count = 0;
    for (size_t i = 0; i < settings->count; i++) {
        const struct pc_cli_setting *s = &settings->all[i];
        if (s->option != option || !s->holds || (!pc_cli_option_is_list(option) && s != last))
            continue;
        print_one(printing, &(struct printed){ row, s->value, s->layer, s->name, s->line });
        count++;
    }
    if (strcmp(row->word, "peer") == 0)
        count += print_env_peers(printing, row);
    if (count == 0)
        print_absent(printing, row, printing->session->cache);
}

enum pc_cli_exit pc_cli_print_config(const struct pc_cli_session *session)
{
    const struct pc_cli_options *o = session->options;
    const uint64_t options = *o->command->flags & pc_cli_options_settable();
    struct printing printing = { .session = session, .list = o->json ? json_array() : NULL };
    if (o->json && !printing.list)
        return pc_cli_fail(o->json, PC_CLI_COULD_NOT, "no_memory", "out of memory");
    if (!o->json)
        printf("# What holds for peercache %s, and where it came from; a file as of peercache.conf(5).\n"
               "[" PC_CLI_CONFIG_SECTION "]\n",
               o->command->name);
    for (unsigned i = 0; pc_cli_option_row(i); i++)
        if (options & UINT64_C(1) << i)
            print_option(&printing, i);
    if (!o->json)
        return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
    json_t *whole = printing.failed ? NULL
                                    : json_pack("{s:o,s:O}", "config", pc_cli_json_text(o->settings.file),
                                                "options", printing.list);
    json_decref(printing.list);
    return pc_cli_json_print(whole) ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}
