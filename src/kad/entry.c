#include "kad/entry.h"

void pc_kad_entry_update(struct pc_kad_entry *entry, const struct pc_kad_contact *contact)
{
    size_t count = contact->addr_count < PC_KAD_ADDRS_PER_PEER ? contact->addr_count : PC_KAD_ADDRS_PER_PEER;
    entry->group = contact->group;
    entry->addr_count = (uint8_t)count;
    for (size_t i = 0; i < count; i++)
        entry->addrs[i] = contact->addrs[i];
}

void pc_kad_entry_init(struct pc_kad_entry *entry, const struct pc_kad_contact *contact,
                       const struct pc_kad_key *key)
{
    entry->id = contact->id;
    entry->key = *key;
    entry->last_seen_us = 0;
    entry->last_answered_us = 0;
    pc_kad_entry_update(entry, contact);
}

struct pc_kad_contact pc_kad_entry_contact(const struct pc_kad_entry *entry)
{
    return (struct pc_kad_contact){ entry->id, entry->group, entry->addrs, entry->addr_count };
}
