/* An intrusive binary min-heap of deadlines: the caller embeds a pc_heap_node. O(log n) change, O(1) look at
 * the first. */
#ifndef PC_BASE_HEAP_H
#define PC_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

#define PC_HEAP_OUTSIDE SIZE_MAX

struct pc_heap_node {
    int64_t at;   /* the deadline */
    size_t index; /* place in the heap, PC_HEAP_OUTSIDE when in none */
};

struct pc_heap {
    struct pc_heap_node **nodes;
    size_t count;
    size_t capacity;
};

void pc_base_heap_init(struct pc_heap *heap);
void pc_base_heap_deinit(struct pc_heap *heap);
/* A node that is in no heap. Call before first use. */
void pc_base_heap_node_init(struct pc_heap_node *node);
/* Insert the node, or move it if it is inside. PC_TIME_NEVER takes it out. ENOMEM only on insert: nothing
 * changed. */
int pc_base_heap_set(struct pc_heap *heap, struct pc_heap_node *node, int64_t at);
/* Take it out; a node outside is left alone. */
void pc_base_heap_remove(struct pc_heap *heap, struct pc_heap_node *node);
/* The earliest, NULL when empty. */
struct pc_heap_node *pc_base_heap_first(const struct pc_heap *heap);

#endif
