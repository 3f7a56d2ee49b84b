/* Accounts of peers and groups: account.h. */
#include "libp2p/account.h"

#include "base/time.h"

#include <assert.h>
#include <stdlib.h>

#define SWEPT_AT_ONCE 2 /* for each that is made, so that they don't pile up */

static struct pc_bytes account_key(const struct pc_map_node *node)
{
    const struct pc_account *account = PC_CONST_CONTAINER_OF(node, struct pc_account, node);
    return pc_bytes_of(account->key, account->key_size);
}

void pc_libp2p_accounts_init(struct pc_accounts *accounts, const uint8_t secret[16])
{
    *accounts = (struct pc_accounts){ .idle_count = 0 };
    pc_base_map_init(&accounts->by_key, account_key, secret);
}

static void unlist(struct pc_accounts *accounts, struct pc_account *account)
{
    if (account->idle_previous)
        account->idle_previous->idle_next = account->idle_next;
    else
        accounts->idle_first = account->idle_next;
    if (account->idle_next)
        account->idle_next->idle_previous = account->idle_previous;
    else
        accounts->idle_last = account->idle_previous;
    account->idle_previous = NULL;
    account->idle_next = NULL;
    accounts->idle_count--;
}

static void forget(struct pc_accounts *accounts, struct pc_account *account)
{
    unlist(accounts, account);
    pc_base_map_remove(&accounts->by_key, &account->node);
    free(account);
}

void pc_libp2p_accounts_deinit(struct pc_accounts *accounts)
{
    while (accounts->idle_first)
        forget(accounts, accounts->idle_first);
    assert(accounts->by_key.count == 0);
    pc_base_map_deinit(&accounts->by_key);
}

struct pc_account *pc_libp2p_accounts_find(struct pc_accounts *accounts, struct pc_bytes key)
{
    struct pc_map_node *node = pc_base_map_find(&accounts->by_key, key);
    return node ? PC_CONTAINER_OF(node, struct pc_account, node) : NULL;
}

static void sweep(struct pc_accounts *accounts, int64_t now_us)
{
    for (unsigned i = 0; i < SWEPT_AT_ONCE && accounts->idle_first; i++) {
        if (accounts->idle_count <= PC_ACCOUNTS_IDLE &&
            pc_base_time_sub(now_us, accounts->idle_first->idle_since_us) < PC_ACCOUNT_KEEP_US)
            return;
        forget(accounts, accounts->idle_first);
    }
}

struct pc_account *pc_libp2p_accounts_hold(struct pc_accounts *accounts, struct pc_bytes key, int64_t now_us)
{
    struct pc_account *account = pc_libp2p_accounts_find(accounts, key);
    if (account) {
        if (account->users++ == 0)
            unlist(accounts, account);
        return account;
    }
    sweep(accounts, now_us);
    account = calloc(1, sizeof(*account));
    if (!account)
        return NULL;
    assert(key.size <= sizeof(account->key));
    account->key_size = (uint8_t)key.size;
    if (key.size > 0)
        memcpy(account->key, key.data, key.size);
    account->requests.at_us = now_us;
    account->handshakes.at_us = now_us;
    account->users = 1;
    if (pc_base_map_insert(&accounts->by_key, &account->node)) {
        free(account);
        return NULL;
    }
    return account;
}

void pc_libp2p_accounts_let_go(struct pc_accounts *accounts, struct pc_account *account, int64_t now_us)
{
    if (!account || --account->users > 0)
        return;
    account->idle_since_us = now_us;
    account->idle_previous = accounts->idle_last;
    account->idle_next = NULL;
    if (accounts->idle_last)
        accounts->idle_last->idle_next = account;
    else
        accounts->idle_first = account;
    accounts->idle_last = account;
    accounts->idle_count++;
}
