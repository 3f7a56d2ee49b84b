/* Slabs for ngtcp2's chunks: quic_memory.h. */
#include "libp2p/quic_memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POOLED_MIN_BYTES 2048              /* smaller ones are used whole: the heap serves them well */
#define POOLED_MAX_BYTES (16 * 1024)       /* larger ones are buffers, not chunks of objects */
#define SLAB_BYTES       ((size_t)1 << 18) /* well above what malloc takes from its heap: fresh pages */
#define HEAP_CLASS       SIZE_MAX

/* Stands before each block. */
struct pc_quic_block {
    size_t index; /* of its class, HEAP_CLASS when it came from the heap */
    size_t size;
    struct pc_quic_block *next; /* while unused */
    uint64_t align;             /* blocks stay aligned for any object */
};

struct pc_quic_slab {
    struct pc_quic_slab *next;
    uint64_t align;
};

/* The class of a size, made at need; HEAP_CLASS when it is not pooled. */
static size_t class_of(struct pc_quic_memory *memory, size_t size)
{
    if (size < POOLED_MIN_BYTES || size > POOLED_MAX_BYTES)
        return HEAP_CLASS;
    for (size_t i = 0; i < PC_QUIC_MEMORY_CLASSES; i++) {
        if (memory->classes[i].size == 0)
            memory->classes[i].size = size;
        if (memory->classes[i].size == size)
            return i;
    }
    return HEAP_CLASS;
}

/* Cut a new slab into blocks of the class. Their heads are touched, what follows is not. */
static void add_slab(struct pc_quic_memory *memory, size_t index)
{
    size_t stride = (sizeof(struct pc_quic_block) + memory->classes[index].size + 15) & ~(size_t)15;
    struct pc_quic_slab *slab = malloc(SLAB_BYTES);
    if (!slab)
        return;
    slab->next = memory->slabs;
    memory->slabs = slab;
    for (size_t at = sizeof(*slab); at + stride <= SLAB_BYTES; at += stride) {
        struct pc_quic_block *block = (struct pc_quic_block *)(void *)((uint8_t *)slab + at);
        block->index = index;
        block->size = memory->classes[index].size;
        block->next = memory->classes[index].unused;
        memory->classes[index].unused = block;
    }
}

static void *take(size_t size, void *context)
{
    struct pc_quic_memory *memory = context;
    size_t index = class_of(memory, size);
    struct pc_quic_block *block;
    if (index == HEAP_CLASS) {
        if (size > SIZE_MAX - sizeof(*block))
            return NULL;
        block = malloc(sizeof(*block) + size);
        if (!block)
            return NULL;
        block->index = HEAP_CLASS;
        block->size = size;
        return block + 1;
    }
    if (!memory->classes[index].unused)
        add_slab(memory, index);
    block = memory->classes[index].unused;
    if (!block)
        return NULL;
    memory->classes[index].unused = block->next;
    return block + 1;
}

static void give(void *pointer, void *context)
{
    struct pc_quic_memory *memory = context;
    if (!pointer)
        return;
    struct pc_quic_block *block = (struct pc_quic_block *)pointer - 1;
    if (block->index == HEAP_CLASS) {
        free(block);
        return;
    }
    block->next = memory->classes[block->index].unused;
    memory->classes[block->index].unused = block;
}

static void *take_zeroed(size_t count, size_t size, void *context)
{
    if (size > 0 && count > SIZE_MAX / size)
        return NULL;
    void *pointer = take(count * size, context);
    if (pointer)
        memset(pointer, 0, count * size);
    return pointer;
}

static void *retake(void *pointer, size_t size, void *context)
{
    void *fresh = take(size, context);
    if (pointer && fresh) {
        const struct pc_quic_block *old = (struct pc_quic_block *)pointer - 1;
        memcpy(fresh, pointer, old->size < size ? old->size : size);
        give(pointer, context);
    }
    return fresh;
}

void pc_libp2p_quic_memory_init(struct pc_quic_memory *memory)
{
    memset(memory, 0, sizeof(*memory));
    memory->functions = (ngtcp2_mem){ memory, take, give, take_zeroed, retake };
}

void pc_libp2p_quic_memory_deinit(struct pc_quic_memory *memory)
{
    while (memory->slabs) {
        struct pc_quic_slab *slab = memory->slabs;
        memory->slabs = slab->next;
        free(slab);
    }
}
