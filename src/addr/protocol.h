/* The table of multiaddr protocols, one row a protocol, and the types of their values. */
#ifndef PC_ADDR_PROTOCOL_H
#define PC_ADDR_PROTOCOL_H

#include "base/cursor.h"

/* How a kind of value is read, written and judged. */
struct pc_value_type {
    const char *what;   /* what the value is, for "… is not …" */
    uint8_t size_bytes; /* of every value; 0: a varint before the value says it, one byte at least */
    bool is_name;       /* the value's bytes are its text, and may be any */
    bool is_path;       /* the text holds '/' and takes the rest of the address, its own '/' included */
    /* Text to bytes: 0, EPARSE, or ELIMIT; too little room shows in the writer, too. */
    int (*read)(struct pc_bytes text, struct pc_writer *value);
    /* Bytes, known to be valid, to canonical text. */
    void (*write)(struct pc_bytes value, struct pc_writer *text);
    /* Of a value whose size is already right; NULL: all are valid. */
    bool (*is_valid)(struct pc_bytes value);
};

struct pc_protocol {
    const char *name;
    uint32_t code;
    const struct pc_value_type *value; /* NULL: the protocol has none */
};

/* NULL: not known. Old names are found too; a row's own name is the canonical one. */
const struct pc_protocol *pc_addr_protocol_by_name(struct pc_bytes name);
const struct pc_protocol *pc_addr_protocol_by_code(uint64_t code);

/* Numbers and names (value_number.c, value_name.c). */
extern const struct pc_value_type pc_addr_value_ip4;
extern const struct pc_value_type pc_addr_value_ip6;
extern const struct pc_value_type pc_addr_value_prefix_size;
extern const struct pc_value_type pc_addr_value_port;
extern const struct pc_value_type pc_addr_value_memory;
extern const struct pc_value_type pc_addr_value_zone;
extern const struct pc_value_type pc_addr_value_domain;
extern const struct pc_value_type pc_addr_value_socket_path;
extern const struct pc_value_type pc_addr_value_http_path;
/* Keys and hashes in texts of bytes (value_key.c). */
extern const struct pc_value_type pc_addr_value_peer_id;
extern const struct pc_value_type pc_addr_value_certhash;
extern const struct pc_value_type pc_addr_value_onion;
extern const struct pc_value_type pc_addr_value_onion3;
extern const struct pc_value_type pc_addr_value_garlic32;
extern const struct pc_value_type pc_addr_value_garlic64;

#endif
