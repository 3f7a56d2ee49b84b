#include "observe/answer.h"

#include "base/cursor.h"
#include "observe/metrics.h"
#include "observe/status_json.h"

#include <peercache/types.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TYPE_TEXT  "text/plain; charset=utf-8"
#define TYPE_JSON  "application/json"
#define LINE_BYTES 512

static const char paths[] = "/healthz\n"
                            "/readyz\n"
                            "/metrics\n"
                            "/status.json\n"
                            "/peers?format=FORMAT\n"
                            "/bootstrap_cache.json\n";
static const char peers_age[] = "public, max-age=60";
_Static_assert(PC_OBSERVE_PEERS_AGE_S == 60, "as in the header");

void pc_observe_answer_text(struct pc_observe_answer *ret_answer, unsigned status, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    ret_answer->status = status;
    ret_answer->content_type = TYPE_TEXT;
    pc_observe_text_clear(&ret_answer->body);
    pc_observe_put(&ret_answer->body, "%s\n", line);
}

/* ----- the request line ----- */

/* What stands before `end` (or all there is), which is passed over. */
static struct pc_bytes take_until(struct pc_reader *r, char end)
{
    const uint8_t *found = memchr(r->at, end, pc_base_reader_left(r));
    struct pc_bytes part = pc_base_read_bytes(r, found ? (size_t)(found - r->at) : pc_base_reader_left(r));
    if (found)
        (void)pc_base_read_u8(r);
    return part;
}

static bool is(struct pc_bytes bytes, const char *word)
{
    return pc_bytes_equal(bytes, pc_bytes_of(word, strlen(word)));
}

/* A target in absolute form (RFC 9112, 3.2.2) is taken without its scheme and host. */
static void read_target(const char *target, struct pc_bytes *ret_path, struct pc_bytes *ret_query)
{
    static const char scheme[] = "http://";
    struct pc_reader r;
    size_t length = strlen(target), skipped = 0;
    if (strncmp(target, scheme, sizeof(scheme) - 1) == 0)
        skipped = sizeof(scheme) - 1 + strcspn(target + sizeof(scheme) - 1, "/");
    pc_base_reader_init(&r, target + skipped, length - skipped);
    *ret_path = take_until(&r, '?');
    *ret_query = pc_base_read_bytes(&r, pc_base_reader_left(&r));
}

/* ----- peers ----- */

static void answer_peers(const struct pc_observe_request *request, const struct pc_observe_source *source,
                         enum pc_format format, struct pc_observe_answer *answer)
{
    const struct pc_observe_peers peers = { .format = format,
                                            .network_version = source->network_version,
                                            .now_ms = source->now_ms,
                                            .each = source->each_peer,
                                            .context = source->context };
    int result = pc_observe_peers(&peers, &answer->body, answer->etag);
    if (result != 0) {
        answer->etag[0] = '\0';
        pc_observe_answer_text(answer, 500, "the peers cannot be told: %s", peercache_strerror(result));
        return;
    }
    answer->cache_control = peers_age;
    answer->content_type = format == PC_FORMAT_TEXT ? TYPE_TEXT : TYPE_JSON;
    /* A tag holds no quotes but its own: found with them it is one of the list. They compare weakly. */
    const char *wanted = request->if_none_match;
    if (wanted && (strcmp(wanted, "*") == 0 || strstr(wanted, answer->etag + sizeof("W/") - 1))) {
        answer->status = 304;
        pc_observe_text_clear(&answer->body);
    }
}

static void refuse_format(struct pc_observe_answer *answer)
{
    pc_observe_answer_text(answer, 400, "no such format; there are:");
    for (unsigned i = PC_FORMAT_UNKNOWN + 1; i < PC_FORMAT_COUNT; i++)
        pc_observe_put(&answer->body, "%s\n", pc_format_name((enum pc_format)i));
}

/* The one parameter there is; none is the default. False: the answer says what is wrong. */
static bool read_format(struct pc_bytes query, enum pc_format *ret_format, struct pc_observe_answer *answer)
{
    struct pc_reader r;
    if (query.size == 0) {
        *ret_format = PC_FORMAT_ENDPOINT;
        return true;
    }
    pc_base_reader_init(&r, query.data, query.size);
    if (!is(take_until(&r, '='), "format")) {
        pc_observe_answer_text(answer, 400, "the one parameter is format, as in /peers?format=text");
        return false;
    }
    struct pc_bytes value = pc_base_read_bytes(&r, pc_base_reader_left(&r));
    for (unsigned i = PC_FORMAT_UNKNOWN + 1; i < PC_FORMAT_COUNT; i++)
        if (is(value, pc_format_name((enum pc_format)i))) {
            *ret_format = (enum pc_format)i;
            return true;
        }
    refuse_format(answer);
    return false;
}

static void answer_bootstrap(const struct pc_observe_request *request, const struct pc_observe_source *source,
                             struct pc_observe_answer *answer)
{
    const char *version = request->cache_version;
    answer->vary = "Cache-Version";
    if (version && strcmp(version, "1") != 0)
        pc_observe_answer_text(answer, 406, "the one Cache-Version there is beside none is 1");
    else
        answer_peers(request, source, version ? PC_FORMAT_ANT_V1 : PC_FORMAT_ANT_V0, answer);
}

/* ----- the node itself ----- */

static bool is_ready(enum pc_node_standing standing)
{
    switch (standing) {
    case PC_NODE_JOINED:
    case PC_NODE_DEGRADED:
        return true;
    case PC_NODE_IDLE:
    case PC_NODE_JOINING:
    case PC_NODE_FAILED:
    case PC_NODE_STOPPING:
    case PC_NODE_STANDING_COUNT:
        break;
    }
    return false;
}

static void answer_ready(const struct pc_node_status *node, struct pc_observe_answer *answer)
{
    const char *standing = pc_node_standing_name(node->standing);
    if (is_ready(node->standing))
        pc_observe_answer_text(answer, 200, "%s: %" PRIu32 " of %" PRIu32 " peers verified", standing,
                               node->verified, node->target);
    else if (node->cause[0] != '\0')
        pc_observe_answer_text(answer, 503, "%s: %s: %s", standing, node->cause, node->next_step);
    else
        pc_observe_answer_text(answer, 503, "%s", standing);
}

enum view {
    VIEW_READY,
    VIEW_METRICS,
    VIEW_STATUS,
};

static void answer_view(const struct pc_observe_source *source, enum view view,
                        struct pc_observe_answer *answer)
{
    struct pc_observation *observation = calloc(1, sizeof(*observation));
    if (!observation) {
        pc_observe_answer_text(answer, 500, "out of memory");
        return;
    }
    source->look(source->context, observation);
    switch (view) {
    case VIEW_READY:
        answer_ready(&observation->node, answer);
        break;
    case VIEW_METRICS:
        answer->content_type = PC_OBSERVE_METRICS_TYPE;
        pc_observe_metrics(observation, &answer->body);
        break;
    case VIEW_STATUS:
        answer->content_type = TYPE_JSON;
        pc_observe_status_json(observation, &answer->body);
        break;
    }
    free(observation);
}

/* ----- which is which ----- */

static void answer_path(const struct pc_observe_request *request, const struct pc_observe_source *source,
                        struct pc_observe_answer *answer)
{
    struct pc_bytes path, query;
    enum pc_format format;
    read_target(request->target, &path, &query);
    if (is(path, "/healthz")) {
        pc_observe_answer_text(answer, 200, "ok");
    } else if (is(path, "/readyz")) {
        answer_view(source, VIEW_READY, answer);
    } else if (is(path, "/metrics")) {
        answer_view(source, VIEW_METRICS, answer);
    } else if (is(path, "/status.json")) {
        answer_view(source, VIEW_STATUS, answer);
    } else if (is(path, "/bootstrap_cache.json")) {
        answer_bootstrap(request, source, answer);
    } else if (is(path, "/peers")) {
        if (read_format(query, &format, answer))
            answer_peers(request, source, format, answer);
    } else {
        pc_observe_answer_text(answer, 404, "there is no such path; there are:");
        pc_observe_put(&answer->body, "%s", paths);
    }
}

void pc_observe_answer(const struct pc_observe_request *request, const struct pc_observe_source *source,
                       struct pc_observe_answer *ret_answer)
{
    *ret_answer = (struct pc_observe_answer){ .status = 200, .cache_control = "no-store" };
    answer_path(request, source, ret_answer);
    if (ret_answer->body.error) { /* cut short: of no use to anybody */
        pc_observe_text_deinit(&ret_answer->body);
        ret_answer->etag[0] = '\0';
        ret_answer->cache_control = "no-store";
        pc_observe_answer_text(ret_answer, 500, "out of memory");
    }
}
