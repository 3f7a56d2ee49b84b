/* The table of multiaddr protocols, one row a protocol, and how its value is read, written and judged. */
#ifndef PC_ADDR_PROTOCOL_H
#define PC_ADDR_PROTOCOL_H

#include "base/cursor.h"

enum pc_protocol_size {
    PC_PROTOCOL_NO_VALUE,
    PC_PROTOCOL_FIXED,    /* value_bytes bytes */
    PC_PROTOCOL_PREFIXED, /* a varint says how many, one at least */
};

struct pc_protocol {
    const char *name;
    uint32_t code;
    enum pc_protocol_size size;
    uint8_t value_bytes; /* of FIXED */
    bool is_text;        /* the value's bytes are its text: a name */
    const char *what;    /* what the value is, for "… is not …" */
    /* The three below are NULL for NO_VALUE. Text to bytes: 0 or EPARSE; too little room shows in the writer.
     */
    int (*read)(struct pc_bytes text, struct pc_writer *value);
    /* Bytes, known to be valid, to canonical text. */
    void (*write)(struct pc_bytes value, struct pc_writer *text);
    /* Of a value whose size is already right. */
    bool (*is_valid)(struct pc_bytes value);
};

/* NULL: not known. Old names are found too; a row's own name is the canonical one. */
const struct pc_protocol *pc_addr_protocol_by_name(struct pc_bytes name);
const struct pc_protocol *pc_addr_protocol_by_code(uint64_t code);

#endif
