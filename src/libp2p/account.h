/*
 * What one peer, or one group, has of a host. An account is held by each connection it counts for, and outlives the last one for
 * a while, so that who comes again at once finds its rates as it left them. Those that nobody holds are bounded in number:
 * the oldest goes first.
 */
#ifndef PC_LIBP2P_ACCOUNT_H
#define PC_LIBP2P_ACCOUNT_H

#include "addr/peer_id.h"
#include "base/map.h"
#include "libp2p/rate.h"

#define PC_ACCOUNT_KEEP_US                                                                                   \
    INT64_C(60000000)            /* of one that nobody holds: any of our rates is refilled by then */
#define PC_ACCOUNTS_IDLE    4096 /* of those at most: some 0.7 MB */
#define PC_ACCOUNT_KEY_ROOM PC_PEER_ID_MAX_BYTES

struct pc_account {
    struct pc_map_node node;
    struct pc_account *idle_previous; /* among those that nobody holds, oldest first */
    struct pc_account *idle_next;
    int64_t idle_since_us;
    uint32_t users;
    uint8_t key_size;
    uint8_t key[PC_ACCOUNT_KEY_ROOM];

    uint32_t connections; /* inbound, alive; of a peer: proven ones */
    uint32_t half_open;   /* of them not proven yet; those that linger too */
    uint32_t streams;     /* inbound */
    size_t memory_bytes;  /* buffered on streams */
    struct pc_libp2p_bucket requests;
    struct pc_libp2p_bucket handshakes;
};

struct pc_accounts {
    struct pc_map by_key;
    struct pc_account *idle_first;
    struct pc_account *idle_last;
    size_t idle_count;
};

/* The secret keeps strangers from choosing keys that collide. */
void pc_libp2p_accounts_init(struct pc_accounts *accounts, const uint8_t secret[16]);
/* Every account must have been let go. */
void pc_libp2p_accounts_deinit(struct pc_accounts *accounts);
/* The account of this key (PC_ACCOUNT_KEY_ROOM bytes at most), NULL when there is none; held by nobody through this. */
struct pc_account *pc_libp2p_accounts_find(struct pc_accounts *accounts, struct pc_bytes key);
/* The same, made when there is none, and held until it is let go. NULL: memory. */
struct pc_account *pc_libp2p_accounts_hold(struct pc_accounts *accounts, struct pc_bytes key, int64_t now_us);
/* NULL does nothing. */
void pc_libp2p_accounts_let_go(struct pc_accounts *accounts, struct pc_account *account, int64_t now_us);

#endif
