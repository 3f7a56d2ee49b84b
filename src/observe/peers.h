/* The peers of a node as a document of any format, so that it can be another's endpoint. */
#ifndef PC_OBSERVE_PEERS_H
#define PC_OBSERVE_PEERS_H

#include "format/format.h"
#include "observe/text.h"

#define PC_OBSERVE_PEERS_MAX                                                                                 \
    500 /* of one document: of 8 long addresses each, it stays within the bound of a text */
#define PC_OBSERVE_ETAG_BYTES 40 /* W/"32 hexadecimal digits" and the NUL */

/* Visit up to `count` peers, those first that are best given to others. What visit returns other than 0 is
 * returned at once. */
typedef int (*pc_observe_each_peer)(void *context, size_t count,
                                    int (*visit)(void *visit_context, const struct pc_record *record),
                                    void *visit_context);

struct pc_observe_peers {
    enum pc_format format;       /* not UNKNOWN */
    const char *network_version; /* of ant-v0 and ant-v1; NULL: not written */
    int64_t now_ms;              /* last_updated */
    pc_observe_each_peer each;
    void *context;
};

/*
 * The document, and its ETag: a weak one of the format and of what it tells of the peers, so that it stays while
 * they do, whatever the date in the document. ELIMIT, ENOMEM; EINVAL a network_version that is no UTF-8; what
 * `each` returned. On failure the text may have been written to.
 */
int pc_observe_peers(const struct pc_observe_peers *peers, struct pc_observe_text *text,
                     char ret_etag[PC_OBSERVE_ETAG_BYTES]);

#endif
