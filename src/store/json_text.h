/*
 * The text of a JSON file: `list` of the format room, with our object `peercache` (json_own.c):
 *
 *   {"version":1,"network":NAME,"mode":"public","secret":HEX,"change":N,
 *    "ledger":[[WRITER,SEQUENCE],…],                              who committed last stands last
 *    "tombstones":[{"peer":ID,"addr":ADDR,"removed":TIME},…],     without addr the whole peer
 *    "meta":{KEY:HEX,…},
 *    "bans":[[TEXT,SINCE],…]}                                      when there are any; since in milliseconds
 */
#ifndef PC_STORE_JSON_TEXT_H
#define PC_STORE_JSON_TEXT_H

#include "store/json_document.h"

/* What a file turns out to be. */
enum pc_json_kind {
    PC_JSON_EMPTY,   /* nothing but white space */
    PC_JSON_OURS,    /* also a list in the seed's format: document->is_plain */
    PC_JSON_NEWER,   /* ours, of a later version */
    PC_JSON_OTHER,   /* somebody's */
    PC_JSON_DAMAGED, /* ours or nobody's */
};

struct pc_json_wanted {
    const char *network;
    enum pc_netgroup_mode mode;
    bool is_import;             /* not the file of a cache: members of its object may be missing */
    struct pc_json_write write; /* of what is read */
};

/*
 * Read an open file of at most `size_max` bytes into an empty document. 0: the kind is given, and for OTHER
 * and DAMAGED the reason. ENETWORK: it is another network's. ELIMIT: it is larger. EVERSION: a later version
 * whose object we can't read. EIO, ENOMEM.
 */
int pc_json_read(int fd, size_t size_max, const struct pc_json_wanted *wanted,
                 struct pc_json_document *document, enum pc_json_kind *ret_kind,
                 struct pc_reason *ret_reason);
/*
 * Read what can be read of a damaged file into an empty document: entry by entry, as our writer begins them;
 * of a list laid out otherwise what stands before the damage. ECORRUPT: it was ours and no longer says of
 * which network, so that nothing of it is to be used; ENETWORK, EIO, ENOMEM, ELIMIT.
 */
int pc_json_salvage(int fd, size_t size_max, const struct pc_json_wanted *wanted,
                    struct pc_json_document *document, size_t *ret_peers);
/* Write the document; `write` as of the format room. ENOMEM, or what `write` returned. */
int pc_json_write(const struct pc_json_document *document, int64_t now_ms,
                  int (*write)(void *context, struct pc_bytes bytes), void *context);

/* ---- json_own.c ---- */

/* Our object into a document. ECORRUPT: it is not whole; ENETWORK with the reason; EVERSION; ENOMEM. */
int pc_json_own_read(struct pc_bytes text, const struct pc_json_wanted *wanted,
                     struct pc_json_document *document, struct pc_reason *ret_reason);
/* Of an object that is no longer JSON: whether it begins as our writer begins one of this network (0), and
 * its secret. ECORRUPT, ENOMEM. */
int pc_json_own_salvage(struct pc_bytes text, const struct pc_json_wanted *wanted,
                        struct pc_json_document *document);
/* The object as text on one line, to be freed. NULL: memory is out. */
char *pc_json_own_write(const struct pc_json_document *document);
const char *pc_json_mode_name(enum pc_netgroup_mode mode);

#endif
