#include "driver/finds.h"

int pc_driver_finds_open(struct pc_driver_finds *finds)
{
    if (uv_mutex_init(&finds->lock) != 0)
        return PEERCACHE_EIO;
    finds->open = true;
    return 0;
}

void pc_driver_finds_close(struct pc_driver_finds *finds)
{
    if (finds->open)
        uv_mutex_destroy(&finds->lock);
    finds->open = false;
}

int pc_driver_finds_put(struct pc_driver_finds *finds, const struct pc_peer_id *id)
{
    int result = PEERCACHE_ELIMIT;
    uv_mutex_lock(&finds->lock);
    if (finds->count < PC_NODE_FINDS_MAX) {
        finds->ids[(finds->first + finds->count++) % PC_NODE_FINDS_MAX] = *id;
        result = 0;
    }
    uv_mutex_unlock(&finds->lock);
    return result;
}

const struct pc_peer_id *pc_driver_finds_take(struct pc_driver_finds *finds)
{
    const struct pc_peer_id *taken = NULL;
    uv_mutex_lock(&finds->lock);
    if (finds->count > 0) {
        finds->taken = finds->ids[finds->first];
        finds->first = (finds->first + 1) % PC_NODE_FINDS_MAX;
        finds->count--;
        taken = &finds->taken;
    }
    uv_mutex_unlock(&finds->lock);
    return taken;
}
