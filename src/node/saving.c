/*
 * Saving: when what is learnt goes to the cache, and when what other processes learnt is taken in.
 *
 * - News (a verified connection, the end of a join or a walk) is saved at once when nothing was saved for a while, else
 *   when PC_NODE_COMMIT_PAUSE_US have passed since the last save: many nodes may share one disk.
 * - On schedule: first after PC_NODE_COMMIT_FIRST_US, then every save period, an eighth more or less.
 * - At once: a full batch, and a stop.
 *
 * At each of these moments but the last, what others have committed is taken in. A node that lives for one join has no use
 * for that.
 */
#include "node/internal.h"

#include <peercache/peercache.h>

static int64_t period_us(const struct pc_node *node)
{
    return node->options.save_period_us > 0 ? node->options.save_period_us : PC_NODE_COMMIT_EVERY_US;
}

static int64_t in(struct pc_node *node, int64_t us)
{
    return pc_base_time_add(node->now.mono_us, pc_node_jittered(node, pc_base_time_min(us, period_us(node))));
}

void pc_node_save_begin(struct pc_node *node)
{
    node->commit_at_us = in(node, PC_NODE_COMMIT_FIRST_US);
}

static void want_commit(struct pc_node *node)
{
    node->commit_wanted = true;
    node->take_in_wanted = !node->options.once;
    node->has_news = false; /* it goes along */
}

void pc_node_save_news(struct pc_node *node)
{
    node->has_news = true;
}

void pc_node_save_at_stop(struct pc_node *node)
{
    want_commit(node);
    node->take_in_wanted = false;
    node->commit_failed = false;
}

/* Who is connected lives; who is not, and is known to the table alone, was heard of. */
static void remember_members(struct pc_node *node)
{
    const struct pc_kad_entry *member = NULL;
    while ((member = pc_kad_table_next(node->table, member)) != NULL) {
        struct pc_cache_report alive = { .outcome = PEERCACHE_OK,
                                         .count = 1,
                                         .unverified = true,
                                         .rtt_us = PC_RTT_UNKNOWN,
                                         .source = PEERCACHE_SOURCE_DHT };
        bool is_connected = pc_node_pool_find(node, &member->id) != NULL;
        if (!is_connected && pc_cache_set_find(node->set, &member->id))
            continue;
        for (size_t i = 0; i < member->addr_count; i++) {
            if (!is_connected)
                (void)pc_node_remember(node, &member->id, &member->addrs[i], PEERCACHE_SOURCE_DHT,
                                       &member->group);
            else if (i == 0 &&
                     pc_cache_set_report_more(node->set, &member->id, pc_addr_maddr_bytes(&member->addrs[i]),
                                              &alive, node->now.wall_ms) == PEERCACHE_ENOMEM)
                pc_base_log(node->options.log, PC_LOG_ERROR, "node",
                            "out of memory: a member is not remembered");
        }
    }
}

void pc_node_save_asked(struct pc_node *node)
{
    remember_members(node);
    want_commit(node);
    node->save_asked = true;
    node->commit_failed = false; /* one more try */
}

static void answer_asked(struct pc_node *node, int result)
{
    if (node->save_asked)
        pc_node_act(node, PC_NODE_SAVED)->result = result;
    node->save_asked = false;
}

void pc_node_on_committed(struct pc_node *node, const struct pc_node_event *event)
{
    node->commit_out = false;
    if (pc_cache_set_settle(node->set, event->result == 0))
        pc_base_log(node->options.log, PC_LOG_ERROR, "node", "out of memory: news of peers are lost");
    if (event->result == 0) {
        node->committed_any = true;
        node->commit_failed = false;
        node->commit_from_us = in(node, PC_NODE_COMMIT_PAUSE_US);
        return;
    }
    if (event->result == PEERCACHE_EBUSY && node->phase == PHASE_STOPPING &&
        node->stop_tries++ < PC_NODE_STOP_TRIES)
        return; /* many stop at once: each has its turn */
    node->commit_failed = true;
    node->commit_wanted = false;
    node->has_news = true; /* again on schedule, and what has come since with it */
    node->commit_at_us = in(node, PC_NODE_COMMIT_FIRST_US);
    node->commit_from_us = node->commit_at_us;
    answer_asked(node, event->result);
    pc_node_warn(node, "the cache is not saved: %s",
                 event->text ? event->text : peercache_strerror(event->result));
}

/* What the time has come for. */
static void look_at_time(struct pc_node *node)
{
    if (node->now.mono_us >= node->commit_at_us) {
        node->commit_at_us = in(node, period_us(node));
        want_commit(node);
    }
    if (node->has_news && node->now.mono_us >= node->commit_from_us)
        want_commit(node);
    if (node->phase != PHASE_IDLE && !node->commit_wanted &&
        pc_cache_set_pending(node->set) >= PC_CACHE_BATCH_MAX)
        want_commit(node);
}

void pc_node_save_pump(struct pc_node *node)
{
    const struct pc_delta *deltas;
    if (!node->options.save && node->save_asked && pc_node_has_room(node, 0))
        answer_asked(node, 0); /* there is nothing to save to */
    if (!node->options.save)
        return;
    look_at_time(node);
    if (!node->commit_wanted || node->commit_out || !pc_node_has_room(node, 2))
        return;
    size_t count = pc_cache_set_take(node->set, &deltas, PC_CACHE_BATCH_MAX);
    if (count > 0) {
        node->commit_out = true;
        struct pc_node_action *action = pc_node_act(node, PC_NODE_COMMIT);
        action->deltas = deltas;
        action->delta_count = count;
    }
    /* What comes while a commit is under way is news of its own. Only who is asked to save all, or stops, goes on until
     * nothing is left. */
    if (count == 0 || (count < PC_CACHE_BATCH_MAX && node->phase != PHASE_STOPPING && !node->save_asked))
        node->commit_wanted = false;
    if (count == 0)
        answer_asked(node, 0);
    if (node->take_in_wanted) {
        node->take_in_wanted = false;
        pc_node_act(node, PC_NODE_TAKE_IN);
    }
}

int64_t pc_node_save_deadline(const struct pc_node *node)
{
    if (!node->options.save)
        return PC_TIME_NEVER;
    return node->has_news ? pc_base_time_min(node->commit_at_us, node->commit_from_us) : node->commit_at_us;
}

bool pc_node_is_saved(const struct pc_node *node)
{
    return !node->commit_out && !(node->options.save && node->commit_wanted && !node->commit_failed);
}
