/*
 * STATUS is one line: "joined: 5 of 5 peers verified; 7 connections, 31 in the routing table". It goes out when a join ends or its
 * status changes, and with each tick of a timer: twice in the time of the watchdog, where there is one. The timer is one of the
 * node's loop, so that a loop that hangs gives no sign of life.
 */
#include "driver/notified.h"

#include "base/time.h"
#include "node/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STATUS_EVERY_MS 60000
#define TEXT_BYTES      512

int pc_driver_notified_open(struct peercache_node *node)
{
    const struct pc_driver_notify_environment environment = {
        .socket = getenv("NOTIFY_SOCKET"),
        .watchdog_usec = getenv("WATCHDOG_USEC"),
        .watchdog_pid = getenv("WATCHDOG_PID"),
    };
    if (!node->options.notify)
        return 0;
    return pc_driver_notify_open(&node->notify, &environment, (long)getpid(), &node->error);
}

static void tell(struct peercache_node *node, const char *text, bool waits)
{
    struct pc_reason reason;
    if (pc_driver_notify_send(&node->notify, text, waits, &reason) != 0)
        pc_base_log(&node->log, PC_LOG_WARNING, "driver", "%s", reason.text);
}

/* "STATUS=…", behind what `first` says. */
static void tell_status(struct peercache_node *node, const char *first)
{
    char text[TEXT_BYTES];
    struct pc_node_status *status = malloc(sizeof(*status));
    if (!status) { /* memory is out: the sign of life is what matters */
        tell(node, first, false);
        return;
    }
    pc_node_status_of(node->wire.node, pc_driver_clock_now(&node->clock), status);
    bool has_cause = status->has_report && status->cause[0] != '\0';
    (void)snprintf(text, sizeof(text),
                   "%sSTATUS=%s: %u of %u peers verified; %zu connections, %zu in the routing table%s%s\n",
                   first, pc_node_standing_name(status->standing), status->verified, status->target,
                   status->outbound + status->inbound, status->table_count,
                   has_cause ? "; likely cause: " : "", has_cause ? status->cause : "");
    free(status);
    tell(node, text, false);
}

static void on_tick(uv_timer_t *timer)
{
    struct peercache_node *node = timer->data;
    tell_status(node, node->notify.watchdog_us > 0 ? "WATCHDOG=1\n" : "");
}

void pc_driver_notified_ready(struct peercache_node *node)
{
    uint64_t every_ms = STATUS_EVERY_MS;
    if (node->notify.fd < 0)
        return;
    tell(node, "READY=1\nSTATUS=joining\n", true);
    if (node->notify.watchdog_us > 0 && node->notify.watchdog_us / (2 * PC_US_PER_MS) < STATUS_EVERY_MS)
        every_ms = (uint64_t)(node->notify.watchdog_us / (2 * PC_US_PER_MS));
    (void)uv_timer_init(&node->loop, &node->notify_timer); /* it can't fail */
    node->notify_timer.data = node;
    node->notify_timer_open = true;
    every_ms = every_ms > 0 ? every_ms : 1;
    (void)uv_timer_start(&node->notify_timer, on_tick, every_ms, every_ms); /* nor can this, of an open one */
}

void pc_driver_notified_status(struct peercache_node *node)
{
    if (node->notify.fd >= 0)
        tell_status(node, "");
}

void pc_driver_notified_stopping(struct peercache_node *node)
{
    tell(node, "STOPPING=1\nSTATUS=stopping\n", true);
}

void pc_driver_notified_close(struct peercache_node *node)
{
    if (node->notify_timer_open)
        uv_close((uv_handle_t *)&node->notify_timer, NULL);
    node->notify_timer_open = false;
    pc_driver_notify_close(&node->notify);
}
