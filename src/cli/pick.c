/* peercache pick: whom to dial now. */
#include "cli/cache.h"
#include "cli/commands.h"

#include <stdio.h>

struct picking {
    const struct pc_cli_options *options;
    size_t shown;
    bool passed_over; /* the heading of those was printed */
};

static json_t *pick_json(const peercache_explanation *e, bool with_chosen)
{
    char addr[PC_CLI_FULL_ADDR_BYTES];
    json_t *one =
        json_pack("{s:o,s:o,s:i,s:s,s:o}", "id",
                  *e->candidate.peer_id ? json_string(e->candidate.peer_id) : json_null(), "addr",
                  pc_cli_json_text(pc_cli_full_addr(&e->candidate, addr)), "score", (int)e->candidate.score,
                  "state", peercache_state_name(e->candidate.state), "why", pc_cli_json_text(e->why));
    if (one && with_chosen && json_object_set_new(one, "chosen", json_boolean(e->chosen)) != 0) {
        json_decref(one);
        return NULL;
    }
    return one;
}

static void pick_text(const peercache_candidate *c)
{
    char addr[PC_CLI_FULL_ADDR_BYTES], clean[PC_CLI_TEXT_BYTES];
    printf("%s  %s, score %d", pc_cli_clean(pc_cli_full_addr(c, addr), clean), peercache_state_name(c->state),
           c->score);
    if (c->rtt_ms >= 0)
        printf(", rtt %d ms", c->rtt_ms);
    putchar('\n');
}

#define ENOUGH 1 /* the walk is over before its end: those passed over were not asked for */

static int visit(void *context, const peercache_explanation *e)
{
    struct picking *picking = (struct picking *)context;
    char clean[PC_CLI_TEXT_BYTES];
    const struct pc_cli_options *o = picking->options;
    if (!e->chosen && !o->explain)
        return ENOUGH;
    bool is_first = picking->shown++ == 0;
    if (o->json)
        return pc_cli_json_element(pick_json(e, o->explain), is_first);
    if (!e->chosen && !picking->passed_over) {
        picking->passed_over = true;
        printf("passed over\n");
    }
    pick_text(&e->candidate);
    printf("    %s\n", pc_cli_clean(e->why, clean));
    return ferror(stdout) ? PEERCACHE_EIO : 0;
}

static int pick_plain(struct pc_cli_cache *cache, const peercache_filter *filter)
{
    peercache_candidate candidates[PEERCACHE_PICK_MAX];
    size_t count = 0;
    int error = peercache_pick(cache->cache, cache->now, filter, candidates, cache->options->number, &count);
    for (size_t i = 0; i < count; i++)
        pick_text(&candidates[i]);
    return error;
}

static enum pc_cli_exit pick_with(struct pc_cli_cache *cache, const peercache_filter *filter)
{
    const struct pc_cli_options *o = cache->options;
    struct picking picking = { .options = o };
    int error;
    if (o->json)
        putchar('[');
    cache->is_answering = true;
    if (o->json || o->explain)
        error = peercache_explain(cache->cache, cache->now, filter, o->number, visit, &picking);
    else
        error = pick_plain(cache, filter);
    if (error && error != ENOUGH)
        return pc_cli_cache_failed(cache, error);
    if (o->json)
        printf("%s]\n", picking.shown ? "\n" : "");
    return pc_cli_flush() ? PC_CLI_DONE : PC_CLI_COULD_NOT;
}

enum pc_cli_exit pc_cli_pick(const struct pc_cli_options *options)
{
    struct pc_cli_cache cache = { .options = options };
    uint8_t seed[32] = { 0 };
    peercache_filter *filter = peercache_filter_new();
    enum pc_cli_exit exit = filter
                                ? pc_cli_cache_open(&cache, options, PC_CLI_LOOK)
                                : pc_cli_fail(options->json, PC_CLI_COULD_NOT, "no_memory", "out of memory");
    for (int i = 0; i < 4; i++)
        seed[i] = (uint8_t)(options->seed >> (8 * i));
    if (!exit && options->has_seed)
        peercache_filter_set_seed(filter, seed);
    if (!exit)
        exit = pick_with(&cache, filter);
    peercache_filter_free(filter);
    pc_cli_cache_close(&cache);
    return exit;
}
