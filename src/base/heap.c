#include "base/heap.h"

#include "base/time.h"

#include <peercache/types.h>

#include <stdlib.h>
#include <string.h>

void pc_base_heap_init(struct pc_heap *heap)
{
    memset(heap, 0, sizeof(*heap));
}

void pc_base_heap_deinit(struct pc_heap *heap)
{
    free(heap->nodes);
    memset(heap, 0, sizeof(*heap));
}

void pc_base_heap_node_init(struct pc_heap_node *node)
{
    node->at = PC_TIME_NEVER;
    node->index = PC_HEAP_OUTSIDE;
}

static void place(struct pc_heap *heap, struct pc_heap_node *node, size_t index)
{
    heap->nodes[index] = node;
    node->index = index;
}

/* Move the node at `index` up or down to where it belongs. */
static void settle(struct pc_heap *heap, size_t index)
{
    struct pc_heap_node *node = heap->nodes[index];
    while (index > 0 && heap->nodes[(index - 1) / 2]->at > node->at) {
        place(heap, heap->nodes[(index - 1) / 2], index);
        index = (index - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->nodes[child + 1]->at < heap->nodes[child]->at)
            child++;
        if (heap->nodes[child]->at >= node->at)
            break;
        place(heap, heap->nodes[child], index);
        index = child;
    }
    place(heap, node, index);
}

int pc_base_heap_set(struct pc_heap *heap, struct pc_heap_node *node, int64_t at)
{
    if (at == PC_TIME_NEVER) {
        pc_base_heap_remove(heap, node);
        return 0;
    }
    if (node->index == PC_HEAP_OUTSIDE) {
        if (heap->count == heap->capacity) {
            size_t capacity = heap->capacity ? heap->capacity * 2 : 16;
            struct pc_heap_node **nodes = realloc(heap->nodes, capacity * sizeof(struct pc_heap_node *));
            if (!nodes)
                return PEERCACHE_ENOMEM;
            heap->nodes = nodes;
            heap->capacity = capacity;
        }
        place(heap, node, heap->count++);
    }
    node->at = at;
    settle(heap, node->index);
    return 0;
}

void pc_base_heap_remove(struct pc_heap *heap, struct pc_heap_node *node)
{
    size_t index = node->index;
    node->at = PC_TIME_NEVER;
    if (index == PC_HEAP_OUTSIDE)
        return;
    node->index = PC_HEAP_OUTSIDE;
    struct pc_heap_node *last = heap->nodes[--heap->count];
    if (last == node)
        return;
    place(heap, last, index);
    settle(heap, index);
}

struct pc_heap_node *pc_base_heap_first(const struct pc_heap *heap)
{
    return heap->count ? heap->nodes[0] : NULL;
}
