/*
 * Names on the way to candidates: /dns, /dns4, /dns6 by A and AAAA records, /dnsaddr by TXT records
 * "dnsaddr=MULTIADDR" of _dnsaddr.NAME (multiformats/multiaddr, protocols/DNSADDR.md), which may hold names
 * again. Depth and count are bounded, so that no name server leads us on for ever. An address behind a
 * dnsaddr whose peer id is known must end in that id.
 */
#ifndef PC_JOIN_NAMES_H
#define PC_JOIN_NAMES_H

#include "base/rng.h"
#include "join/joiner.h"

#define PC_NAMES_MAX            64  /* candidates with a name, as offered */
#define PC_NAMES_QUESTIONS_MAX  256 /* that wait or are under way */
#define PC_NAMES_AT_ONCE_MAX    8
#define PC_NAMES_DEPTH_MAX      4   /* of dnsaddr within dnsaddr */
#define PC_NAMES_FOUND_MAX      100 /* addresses of one candidate, per round */
#define PC_NAMES_ASKED_MAX      32  /* questions of one candidate, per round */
#define PC_NAMES_TIMEOUT_US     (5 * PC_US_PER_S)
#define PC_NAMES_BACKOFF_US     (1 * PC_US_PER_S) /* of one that found nothing, decorrelated */
#define PC_NAMES_BACKOFF_CAP_US (300 * PC_US_PER_S)
#define PC_NAME_TEXT_BYTES      264 /* "_dnsaddr." and a name of 253, and NUL */

enum pc_record_type {
    PC_RECORD_A,
    PC_RECORD_AAAA,
    PC_RECORD_TXT,
};

struct pc_name_question {
    uint64_t number;
    enum pc_record_type type;
    char name[PC_NAME_TEXT_BYTES];
    int64_t deadline_us;
};

struct pc_names;

/* ENOMEM. */
int pc_names_new(bool asks_again, struct pc_names **ret_names);
void pc_names_free(struct pc_names *names);
/* A candidate whose address begins with a name. Known ones are ignored. EUNSUPPORTED: it does not, or the
 * name is no host name. ELIMIT. */
int pc_names_add(struct pc_names *names, const struct pc_joiner_candidate *candidate);
/* The next question to ask now. */
bool pc_names_next(struct pc_names *names, int64_t now_us, struct pc_name_question *ret_question);
/* One IP of the answer: true and the candidate it makes. Of another family than asked for, or one too many: false. */
bool pc_names_take_ip(struct pc_names *names, uint64_t question, const struct pc_ip_port *ip,
                      struct pc_joiner_candidate *ret_candidate);
/* One TXT record of the answer: true and a candidate; false: nothing of use, or another question. */
bool pc_names_take_text(struct pc_names *names, uint64_t question, struct pc_bytes text,
                        struct pc_joiner_candidate *ret_candidate);
/* The question is done with; `failed`: it had no answer. False: there is none of this number. */
bool pc_names_ended(struct pc_names *names, uint64_t question, bool failed, struct pc_rng *rng,
                    int64_t now_us);
/* A candidate that gave no address to dial, once each time all its questions ended: true, and whether a question failed
 * (else the answers held nothing of use). Call until false. */
bool pc_names_next_lost(struct pc_names *names, struct pc_joiner_candidate *ret_candidate, bool *ret_failed);
bool pc_names_overdue(const struct pc_names *names, int64_t now_us, uint64_t *ret_question);
bool pc_names_under_way(const struct pc_names *names, uint64_t *ret_question);
int64_t pc_names_deadline(const struct pc_names *names, bool may_begin);
/* A question is under way, or to be asked before then, or a candidate is to be told lost. */
bool pc_names_may_come(const struct pc_names *names, int64_t until_us);
/* Another round, or another network: all may be asked at once. */
void pc_names_again(struct pc_names *names, int64_t now_us);
size_t pc_names_count(const struct pc_names *names);

#endif
